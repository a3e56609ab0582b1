"""What the x axis is labelled with, of a run that was resumed."""

import numpy as np
import screen_snapshots as snapshots

from monitor.app import compare, ruler
from monitor.app.palette import Palette
from monitor.app.scene import Scene

RESUMED_S = snapshots.STARTED_S
#: Five hundred steps of an earlier run, and those since it was resumed.
RESUMED = snapshots.healthy(
    steps=1000,
    clock=snapshots.ArrayView("clock", [1, 500, 501, 1000], RESUMED_S + np.array([-1000, -500, 10, 600])),
)


def test_a_run_began_when_it_said_hello_and_a_resumed_one_with_its_first_step():
    assert ruler.began_s(snapshots.healthy()) == RESUMED_S
    assert ruler.began_s(RESUMED) == RESUMED_S - 1000
    assert ruler.began_s(snapshots.waiting()) == 0.0


def test_the_crosshair_tells_the_time_since_the_first_step_of_a_resumed_run():
    scene = Scene(Palette("night"), RESUMED)
    assert [scene.elapsed_at(step) for step in (1, 500, 501, 1000)] == [0.0, 500.0, 1010.0, 1600.0]


def test_the_time_axis_of_a_resumed_run_begins_at_its_first_step():
    scene = Scene(Palette("night"), RESUMED)
    labels = ruler.labels(RESUMED, "time", scene.window(120), 60)
    assert labels == [(27, "10m"), (36, "20m")]  # at steps 500 and 661


def test_a_resumed_run_is_aligned_with_others_from_its_first_step_on():
    position = compare.position(RESUMED, "time")
    assert position.values.tolist() == [0.0, 500.0, 1010.0, 1600.0]
