"""The overview of a run: few points, all of them recorded, and what stands out is among them."""

import numpy as np
import pytest

from monitor.record import overview
from monitor.record.overview import KEPT, Overviews, Sketch, chosen_of
from monitor.rows import flaw
from probe import packing, wire

STEPS = np.arange(1, 200_001)


def points(sketch: Sketch) -> tuple[np.ndarray, np.ndarray]:
    selection = sketch.selection()
    return np.frombuffer(selection.steps, "<i8"), np.frombuffer(selection.values, "<f8")


def sketched(steps: np.ndarray, values: np.ndarray, at_once: int = 200) -> Sketch:
    sketch = Sketch()
    for first in range(0, len(steps), at_once):
        sketch.add(steps[first : first + at_once], values[first : first + at_once])
    return sketch


def batch(seq: int, rows: int = 1000, keys: int = 1) -> wire.Batch:
    loss = wire.Column(np.arange(rows, dtype=float).tobytes())
    scalars = {f"user/{number}": loss for number in range(keys)}
    return wire.Batch(seq=seq, start=1 + rows * (seq - 1), rows=rows, times_s=bytes(8 * rows), scalars=scalars)


def test_of_a_long_series_few_points_stay_and_each_is_one_of_it():
    values = np.random.default_rng(0).normal(size=len(STEPS))

    steps, kept = points(sketched(STEPS, values))

    assert KEPT / 2 < len(steps) <= 2 * KEPT
    np.testing.assert_array_equal(kept, values[steps - 1])
    assert np.all(np.diff(steps) > 0)


def test_a_spike_of_one_step_a_single_nan_and_the_newest_value_are_in_it():
    values = np.random.default_rng(1).normal(size=len(STEPS))
    values[123_455], values[70_001], values[150_002], values[31] = 1e9, -1e9, np.nan, np.inf

    steps, kept = points(sketched(STEPS, values))

    assert [kept.tolist().count(value) for value in (1e9, -1e9, np.inf)] == [1, 1, 1]
    assert steps[np.isnan(kept)].tolist() == [150_003]
    assert (steps[-1], kept[-1]) == (200_000, values[-1])


def test_it_covers_the_run_evenly():
    steps, _ = points(sketched(STEPS, np.random.default_rng(2).normal(size=len(STEPS))))

    assert np.diff(steps).max() <= 2 * 512


def test_to_choose_again_is_to_choose_from_all():
    values = np.random.default_rng(3).normal(size=5000)
    values[::97] = np.nan
    steps = STEPS[:5000]
    once = chosen_of(steps // 32, values)
    again = once[chosen_of(steps[once] // 64, values[once])]

    np.testing.assert_array_equal(again, chosen_of(steps // 64, values))


def test_one_step_with_very_many_values_is_few_points():
    steps, _ = points(sketched(np.ones(50_000, np.int64), np.random.default_rng(4).normal(size=50_000), 500))

    assert len(steps) <= 2 * KEPT


def test_steps_that_go_back_are_left_out():
    sketch = sketched(STEPS[:100], np.zeros(100))
    sketch.add(STEPS[50:150], np.ones(100))

    steps, values = points(sketch)

    assert np.all(np.diff(steps) >= 0)
    assert values.sum() == 51  # step 100 again, and the 50 after it


def test_a_short_run_has_none_and_a_long_one_is_told_in_messages_of_a_size():
    overviews = Overviews()
    overviews.feed(batch(1, keys=20))
    assert list(overviews.frames(100_000)) == []

    for seq in range(2, 51):
        overviews.feed(batch(seq, keys=20))
    frames = list(overviews.frames(100_000))
    messages = [wire.decode(frame) for frame in frames]

    assert max(map(len, frames)) < 100_000
    assert [flaw(message) for message in messages] == [None] * len(frames)
    assert [key for message in messages for key in message.series] == [f"user/{number}" for number in range(20)]
    assert {message.seq for message in messages} == {50}


def test_a_recorder_that_takes_over_looks_through_what_is_recorded_before_it_tells(monkeypatch):
    monkeypatch.setattr(overview, "WORTH_IT", 1)
    recorded = [batch(seq) for seq in range(1, 21)]
    first, second = Overviews(), Overviews()
    for each in recorded:
        first.feed(each)
    second.begin(lambda seq: (each for each in recorded if each.seq > seq))
    second.turn()
    assert second.is_behind
    assert list(second.frames(100_000)) == []

    recorded.append(batch(21))
    for overviews in (first, second):
        overviews.feed(recorded[-1])
    while second.is_behind:
        second.turn()

    assert list(second.frames(100_000)) == list(first.frames(100_000))


@pytest.mark.parametrize(
    "selection",
    [
        wire.Selection(packing.pack_steps([1, 2]), packing.pack_floats([1.0])),
        wire.Selection(packing.pack_steps([2, 1]), packing.pack_floats([1.0, 1.0])),
        wire.Selection(packing.pack_steps([1 << 60]), packing.pack_floats([1.0])),
        wire.Selection(b"123", b"123"),
    ],
)
def test_points_that_make_no_series_are_a_flaw(selection):
    assert flaw(wire.Overview(seq=1, series={"loss": selection})) == "points without an order"
