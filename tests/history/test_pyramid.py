"""The pyramid: whatever the window, a column is what plain numpy says of the values in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.pyramid import Series

VALUES = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.sampled_from([np.nan, np.inf, -np.inf])), min_size=1, max_size=700
)


def series_of(values, steps=None, chunk=97):
    """A series appended in chunks, as batches come."""
    values = np.array(values, float)
    steps = np.arange(1, len(values) + 1) if steps is None else np.array(steps)
    series = Series("train/loss")
    for begin in range(0, len(values), chunk):
        series.append(steps[begin : begin + chunk], values[begin : begin + chunk])
    return series, steps, values


def plain(steps, values, start, width, n):
    """The columns by the definition, one after the other."""
    for i in range(n):
        inside = values[(steps >= start + i * width) & (steps < start + (i + 1) * width)]
        finite = inside[np.isfinite(inside)]
        low, high, mean = (finite.min(), finite.max(), finite.mean()) if len(finite) else (np.nan,) * 3
        yield low, high, mean, len(inside), len(inside) - len(finite)


def assert_columns(series, steps, values, start, width, n):
    columns = series.view().columns(start, width, n)
    low, high, mean, count, bad = map(np.array, zip(*plain(steps, values, start, width, n), strict=True))
    np.testing.assert_array_equal(columns.low, low)
    np.testing.assert_array_equal(columns.high, high)
    np.testing.assert_allclose(columns.mean, mean, rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(columns.count, count)
    np.testing.assert_array_equal(columns.bad, bad)


@settings(deadline=None)
@given(VALUES, st.integers(-50, 800), st.integers(1, 300), st.integers(1, 40))
def test_columns_of_consecutive_steps_are_those_of_numpy(values, start, width, n):
    assert_columns(*series_of(values), start, width, n)


@settings(deadline=None)
@given(VALUES, st.data())
def test_columns_of_sparse_and_repeated_steps_are_those_of_numpy(values, data):
    ahead = data.draw(st.lists(st.integers(0, 9), min_size=len(values), max_size=len(values)))
    series, steps, array = series_of(values, np.cumsum(ahead))

    assert_columns(series, steps, array, data.draw(st.integers(-5, 100)), data.draw(st.integers(1, 500)), 12)


@pytest.mark.parametrize("width", [1, 7, 64, 1000, 6250, 100_000])
def test_a_spike_of_one_step_is_seen_at_every_zoom(width):
    values = np.ones(100_000)
    values[54_321] = 50.0
    series, _, _ = series_of(values, chunk=4096)

    columns = series.view().columns(1, width, -(-100_000 // width))

    assert columns.high.max() == 50.0
    assert int(np.argmax(columns.high)) == 54_321 // width


def test_a_long_series_has_its_blocks_ready():
    series, _, _ = series_of(np.ones(100_000), chunk=4096)

    assert [len(level.low) for level in series.view().levels] == [12_496, 1562, 195, 24, 3]


def test_blocks_are_the_same_whenever_views_are_taken():
    values = np.sin(np.arange(5000.0))
    at_once, _, _ = series_of(values, chunk=5000)
    in_between = Series("train/loss")
    for begin in range(0, 5000, 37):
        in_between.append(1 + begin, values[begin : begin + 37])
        in_between.view()

    for one, other in zip(at_once.view().levels, in_between.view().levels, strict=True):
        np.testing.assert_array_equal(one.high, other.high)
        np.testing.assert_allclose(one.total, other.total)


def test_a_view_stays_as_it_was_while_the_series_grows():
    series, _, _ = series_of(range(100))
    view = series.view()
    before = view.columns(1, 10, 10)
    series.append(np.arange(101, 5001), np.full(4900, -1.0))

    after = view.columns(1, 10, 10)

    assert (len(view), view.last_step, view.last) == (100, 100, 99.0)
    np.testing.assert_array_equal(before.low, after.low)
    assert len(series.view()) == 5000


def test_points_between_steps_and_at_the_end():
    series, _, _ = series_of([10.0, 20.0, 30.0, 40.0], steps=[5, 5, 8, 20])
    view = series.view()

    assert [part.tolist() for part in view.between(5, 8)] == [[5, 5, 8], [10.0, 20.0, 30.0]]
    assert [part.tolist() for part in view.tail(2)] == [[8, 20], [30.0, 40.0]]
    assert [part.tolist() for part in view.tail(99)] == [[5, 5, 8, 20], [10.0, 20.0, 30.0, 40.0]]
    assert (view.first_step, view.last_step) == (5, 20)


def test_points_are_read_only():
    series, _, _ = series_of([1.0, 2.0])

    with pytest.raises(ValueError, match="read-only"):
        series.view().tail(2)[1][0] = 5.0


def test_an_empty_series_has_no_last_value():
    with pytest.raises(IndexError):
        _ = Series("train/loss").view().last


def test_steps_that_stop_counting_by_one_are_kept():
    series = Series("train/loss")
    series.append(np.array([1, 2, 3]), np.array([1.0, 2.0, 3.0]))
    series.append(np.array([7, 9]), np.array([7.0, 9.0]))

    assert series.view().tail(5)[0].tolist() == [1, 2, 3, 7, 9]


@pytest.mark.parametrize("every", [1, 3])
def test_columns_that_an_earlier_view_folded_are_those_of_a_series_that_was_never_looked_at(every):
    rng = np.random.default_rng(5)
    watched, steps, values = Series("watched"), [], []
    step = 100
    for _ in range(40):
        more = rng.integers(1, 90)
        at = step + every * np.arange(more)
        step = int(at[-1]) + (0 if every == 3 else 1)  # a validation repeats the step before it
        part = np.where(rng.random(more) < 0.1, np.nan, rng.standard_normal(more))
        steps.append(at)
        values.append(part)
        watched.append(at, part)
        for window in ((100, 16, 120), (100, 64, 70), (700, 8, 40)):
            untouched = Series("untouched")
            untouched.append(np.concatenate(steps), np.concatenate(values))
            found, expected = watched.view().columns(*window), untouched.view().columns(*window)
            for name in ("low", "high", "mean", "count", "bad"):
                np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-12)


def test_a_view_that_is_older_than_the_columns_kept_has_its_own():
    series = Series("key")
    series.append(1, np.ones(10))
    before = series.view()
    series.append(11, np.full(10, 5.0))

    assert series.view().columns(1, 10, 2).mean.tolist() == [1.0, 5.0]
    assert before.columns(1, 10, 2).count.tolist() == [10, 0]
    assert series.view().columns(1, 10, 2).mean.tolist() == [1.0, 5.0]
