"""Which steps a chart shows, and a series in its columns."""

import numpy as np
import pytest
from screen_snapshots import ArrayView

from monitor.app.window import Window, average, averaged, bucket, extent, fit, joined, lost, newest_average, trace

NAN = np.nan


@pytest.mark.parametrize(
    ("steps", "width"), [(0.2, 1), (1, 1), (1.1, 2), (9.5, 10), (10.5, 11), (92, 100), (101, 110), (11_072, 12_000)]
)
def test_a_bucket_is_the_next_round_number_of_steps(steps, width):
    assert bucket(steps) == width


@pytest.mark.parametrize("last", [1, 2, 57, 120, 121, 999, 12_843, 1_284_310, 5_000_000_011])
@pytest.mark.parametrize("follow_end", [False, True])
def test_every_step_has_a_column(last, follow_end):
    window = fit(1, last, 120, follow_end=follow_end)
    assert 0 <= window.column_of(1 if not follow_end else last) < 120
    assert 0 <= window.column_of(last) < 120


@pytest.mark.parametrize("last", [200, 1234, 12_843, 1_284_310])
def test_a_chart_of_the_whole_run_is_mostly_full(last):
    assert fit(1, last, 120).column_of(last) >= 78


def test_the_window_moves_in_whole_buckets():
    windows = {fit(step - 1159, step, 116, follow_end=True) for step in range(5000, 5020)}
    assert windows == {Window(3850, 10, 116), Window(3860, 10, 116)}


def test_a_few_steps_are_spread_out():
    assert fit(1, 10, 120) == Window(1, 1, 120, stretch=12)


def test_a_trace_of_few_steps_has_each_at_its_column():
    view = ArrayView("x", [1, 2, 3], [5.0, NAN, 7.0])
    folded = trace(view, fit(1, 3, 12))
    assert np.flatnonzero(np.isfinite(folded.mean)).tolist() == [2, 10]
    assert np.flatnonzero(folded.bad).tolist() == [6]


def test_a_trace_of_many_steps_is_folded():
    view = ArrayView("x", range(100), range(100))
    folded = trace(view, Window(0, 10, 12))
    assert folded.low[:2].tolist() == [0, 10]
    assert folded.high[:2].tolist() == [9, 19]
    assert folded.mean[:2].tolist() == [4.5, 14.5]
    assert np.isnan(folded.mean[10:]).all()


def test_a_missing_series_is_an_empty_trace():
    assert trace(None, Window(0, 1, 4)).is_empty


def test_an_average_starts_at_the_first_value_and_skips_holes():
    assert average(np.array([1.0, NAN, 1.0]), 0.9)[[0, 2]] == pytest.approx([1.0, 1.0])
    assert average(np.array([0.0, 1.0]), 0.5)[1] == pytest.approx(2 / 3)


def test_moving_the_window_does_not_move_the_average():
    rng = np.random.default_rng(0)
    view = ArrayView("x", range(1, 2001), rng.standard_normal(2000))
    early, late = Window(1000, 1, 400), Window(1100, 1, 400)
    assert averaged(view, early, 0.9)[1][200:] == pytest.approx(averaged(view, late, 0.9)[1][100:300], abs=1e-2)


def test_zooming_out_does_not_make_the_average_lag():
    view = ArrayView("x", range(10_000), np.where(np.arange(10_000) < 5000, 2.0, 1.0))
    assert averaged(view, Window(0, 100, 100), 0.98)[1][51] == pytest.approx(1.0, abs=0.05)


def test_the_newest_average_is_that_of_the_steps():
    values = np.random.default_rng(1).standard_normal(5000)
    assert newest_average(ArrayView("x", range(5000), values), 0.9) == pytest.approx(
        average(values, 0.9)[-1], abs=0.02
    )


def test_the_newest_average_of_nothing_finite_is_nan():
    assert np.isnan(newest_average(ArrayView("x", range(3), [NAN] * 3), 0.9))


def test_columns_between_two_values_are_filled():
    assert joined(np.array([NAN, 1.0, NAN, 3.0, NAN]), np.zeros(5, bool))[1:4].tolist() == [1, 2, 3]


def test_a_column_of_bad_values_breaks_the_line():
    values = np.array([1.0, NAN, NAN, NAN, 3.0, NAN, 5.0])
    broken = np.array([0, 0, 1, 0, 0, 0, 0], bool)
    assert np.isnan(joined(values, broken)).tolist() == [False, True, True, True, False, False, False]


def test_the_columns_of_lost_steps_are_those_of_the_window():
    window = Window(100, 10, 6)
    assert lost([(1, 99)], window).tolist() == [False] * 6
    assert lost([(90, 105), (125, 140), (155, 300)], window).tolist() == [True, False, True, True, True, True]
    assert lost([(3, 4)], Window(1, 1, 12, stretch=2)).tolist() == [*[False] * 5, *[True] * 3, *[False] * 4]


def test_the_extent_is_over_all_series_that_have_a_value():
    series = {"a": ArrayView("a", [5, 9], [1, 1]), "b": ArrayView("b", [2], [1]), "c": ArrayView("c", [], [])}
    assert extent(series) == (2, 9)
    assert extent({"c": series["c"]}) is None
