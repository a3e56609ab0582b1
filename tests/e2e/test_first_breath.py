"""The whole of Bedside at once: a real training, its recorder, and a real monitor in a real terminal."""

from __future__ import annotations

import re

import pytest
from world import eventually, kill

from monitor.record.runfile import read_run
from monitor.record.summary import summary
from monitor.rows import points_of
from probe.wire import Batch


def points(world, run_file, key):
    """The (step, value) points of a series in a run file."""
    found = []
    for message in read_run(run_file):
        if isinstance(message, Batch):
            steps, values = points_of(message, key)
            found += zip(steps.tolist(), values.tolist(), strict=True)
    return found


def test_the_monitor_shows_a_training_that_runs_and_takes_keys(world, terminal):
    world.train("--steps", "100000", "--pace-s", "0.01", "--name", "walking")
    eventually(world.live_entries)
    screen = terminal(120, 40)
    screen.run()

    shown = screen.shows("RUN", "walking", "train", "val", "north", "grad norm")

    assert re.search(r"live (<1s|[123]s)", shown), shown
    screen.press("?")
    screen.shows("quit; training goes on")
    screen.press("Escape")
    screen.shows_no_more("quit; training goes on")  # Escape and a letter at once would be one key, Alt and the letter
    screen.press("q")
    screen.shows("the training goes on")


def test_the_screen_fits_a_small_terminal_and_follows_a_resize(world, terminal):
    world.train("--steps", "100000", "--pace-s", "0.01", "--name", "narrow")
    eventually(world.live_entries)
    screen = terminal(80, 24)
    screen.run()

    screen.shows("narrow", "loss", "vitals", "layers")
    screen.resize(120, 40)

    screen.shows("narrow", "class accuracy", "alerts")


def test_a_monitor_that_comes_late_shows_the_complete_history(world, terminal):
    training = world.train("--steps", "400", "--name", "early")
    training.communicate(timeout=120)
    assert training.returncode == 0
    screen = terminal(120, 40)
    screen.run("watch", "early")

    screen.shows("DONE", "early", "step 400 / 400")

    (run_file,) = world.run_files()
    assert [step for step, _ in points(world, run_file, "train/loss")] == list(range(1, 401))
    assert [step for step, _ in points(world, run_file, "val/loss")] == list(range(20, 401, 20))


def test_a_run_is_recorded_whole_although_nobody_watches(world):
    training = world.train("--steps", "300", "--name", "alone")
    training.communicate(timeout=120)
    eventually(lambda: not world.live_entries())

    (run_file,) = world.run_files()

    assert [step for step, _ in points(world, run_file, "train/loss")] == list(range(1, 301))
    assert not list(run_file.parent.glob("*-wal")), "a finished run is one plain file"


def test_a_killed_training_is_said_to_be_killed_and_its_history_stays(world, terminal):
    training = world.train("--steps", "100000", "--pace-s", "0.01", "--name", "victim")
    eventually(world.live_entries)
    screen = terminal(120, 40)
    screen.run("watch", "victim")
    screen.shows("RUN", "victim", "train")
    (run_file,) = world.run_files()
    eventually(lambda: summary(run_file).step > 50)
    known = summary(run_file).step

    kill(training)

    shown = screen.shows("SIGKILL")
    assert "victim" in shown
    screen.press("q")
    eventually(lambda: not world.live_entries())
    steps = [step for step, _ in points(world, run_file, "train/loss")]
    assert steps == list(range(1, len(steps) + 1))
    assert steps[-1] >= known


def test_a_nan_raises_one_critical_card_with_its_step_and_what_to_do(world, terminal):
    world.train("--steps", "100000", "--pace-s", "0.01", "--nan-at", "150", "--name", "poisoned")
    eventually(world.live_entries)
    screen = terminal(120, 40)
    screen.run("watch", "poisoned")

    shown = screen.shows("non-finite", "✗ 1")

    assert "150" in shown
    assert "→" in shown


def test_training_is_bit_identical_with_and_without_the_probe(world):
    with_probe = world.train("--steps", "120").communicate(timeout=120)[0]
    without = world.train("--steps", "120", env={"BEDSIDE": "off"}).communicate(timeout=120)[0]

    assert with_probe.startswith("digest ")
    assert with_probe == without


def test_an_unwritable_home_costs_one_warning_and_no_step(world):
    blocked = world.folder / "file"
    blocked.write_text("not a folder")
    home = str(blocked / "home")

    training = world.train("--steps", "120", env={"BEDSIDE_HOME": home})
    output, errors = training.communicate(timeout=120)
    reference = world.train("--steps", "120", env={"BEDSIDE": "off"}).communicate(timeout=120)[0]

    assert training.returncode == 0
    assert output == reference
    assert [line for line in errors.splitlines() if line] == [line for line in errors.splitlines() if home in line]
    assert len(errors.splitlines()) == 1, errors


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_the_screen_opens_before_the_training_and_fills_when_it_comes(world, terminal, size):
    screen = terminal(*size)
    screen.run()
    screen.shows("quit")

    world.train("--steps", "100000", "--pace-s", "0.01", "--name", "newcomer")

    screen.shows("RUN", "newcomer", "train")
