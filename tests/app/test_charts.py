"""Charts as characters."""

import numpy as np
import pytest

from monitor.app import charts, plot
from monitor.app.canvas import Area, Canvas
from monitor.app.charts import Scale, scale_for, sparkline
from monitor.app.window import Trace, Window

NAN = np.nan


def drawn(values, cells=(8, 3), scale=None):
    """A curve through the values of the dot columns, as rows of text."""
    width, height = cells
    canvas = Canvas(width, height, 0)
    values = np.asarray(values, float)
    plot.curve(canvas, Area(0, 0, width, height), scale or Scale(0, 11), values, 1)
    return [canvas.text(y) for y in range(height)]


def test_a_rising_line():
    assert drawn(range(0, 12, 1), (6, 3)) == ["    ⣠⠞", "  ⣠⠞⠁ ", "⣠⠞⠁   "]


def test_a_level_line():
    assert drawn([4] * 8, (4, 3)) == ["    ", "⣀⣀⣀⣀", "    "]


def test_a_spike_of_one_column_reaches_its_value():
    rows = drawn([0, 0, 0, 11, 0, 0, 0, 0], (4, 3))
    assert rows == [" ⢸  ", " ⡼⡄ ", "⣀⡇⣇⣀"]


def test_a_gap_stays_empty():
    assert drawn([0, 0, NAN, NAN, NAN, NAN, 0, 0], (4, 1), Scale(0, 3)) == ["⣀  ⣀"]


def test_values_beyond_the_scale_are_cut_at_its_edge():
    assert drawn([-100, -100, 0, 0, 3, 3, 100, 100], (4, 1), Scale(0, 3)) == [" ⣠⠏ "]


def test_infinities_are_nowhere():
    assert drawn([np.inf, -np.inf, NAN, NAN], (2, 1), Scale(0, 3)) == ["  "]


def test_an_empty_cell_is_a_space_and_not_an_empty_braille_sign():
    assert charts.braille(np.zeros((4, 2), bool)).tolist() == [[0x2800]]
    assert drawn([NAN, NAN], (1, 1)) == [" "]


def test_the_dots_of_a_cell_are_numbered_as_unicode_does():
    bits = np.zeros((4, 2), bool)
    seen = []
    for row, column in [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (3, 0), (3, 1)]:
        bits[:] = False
        bits[row, column] = True
        seen.append(int(charts.braille(bits)[0, 0]) - 0x2800)
    assert seen == [1, 2, 4, 8, 16, 32, 64, 128]


def test_a_band_is_filled_from_the_lowest_to_the_highest_value():
    canvas = Canvas(2, 2, 0)
    low, high = np.array([0.0] * 4), np.array([7.0, 7, 3, 3])
    plot.band(canvas, Area(0, 0, 2, 2), Scale(0, 7), low, high, (low + high) / 2, 1)
    assert [canvas.text(0), canvas.text(1)] == ["⣿ ", "⣿⣿"]


def test_points_are_dots_and_stick_to_the_edge_when_beyond():
    canvas = Canvas(3, 3, 0)
    plot.points(canvas, Area(0, 0, 3, 3), Scale(0, 11), np.array([0, NAN, 5, NAN, 99, NAN]), 1)
    assert [canvas.text(y) for y in range(3)] == ["  •", " • ", "•  "]


def test_an_events_line_covers_no_data():
    canvas = Canvas(4, 3, 0)
    canvas.put(1, 1, "⣿", 1)
    event = plot.Event(3, "▲", 2, 3)
    plot.events(canvas, Area(0, 0, 4, 3), Window(0, 1, 8), [event])
    assert [canvas.text(y) for y in range(3)] == [" ▲  ", " ⣿  ", " ╎  "]


def test_an_event_outside_of_the_window_is_not_drawn():
    canvas = Canvas(4, 1, 0)
    plot.events(canvas, Area(0, 0, 4, 1), Window(100, 1, 8), [plot.Event(99, "▲", 2, 3), plot.Event(108, "▲", 2, 3)])
    assert canvas.text(0) == "    "


def test_two_tags_at_one_height_do_not_cover_each_other():
    canvas = Canvas(10, 3, 0)
    plot.tags(canvas, Area(0, 0, 4, 3), Scale(0, 11), [(5.0, "5.00", 1), (5.1, "5.10", 2)])
    assert [canvas.text(y) for y in range(3)] == [" " * 10, "    ◂5.00 ", "    ◂5.10 "]


def test_bad_values_are_marked_on_the_lowest_row():
    canvas = Canvas(4, 2, 0)
    plot.bad_values(canvas, Area(0, 0, 4, 2), np.array([0, 0, 0, 1, 0, 0, 1, 1], bool), 1)
    assert [canvas.text(0), canvas.text(1)] == ["    ", " ✗ ✗"]


def test_a_lost_stretch_is_shaded():
    canvas = Canvas(5, 1, 0)
    plot.gaps(canvas, Area(0, 0, 5, 1), Window(1, 1, 10), [(3, 6), (50, 60)], 1)
    assert canvas.text(0) == " ░░  "


# ------------------------------------------------------------------------------------------- one-line charts


def test_a_sparkline_rises():
    assert sparkline(np.arange(7.0), 7) == "▁▂▃▄▅▆▇"


def test_a_sparkline_of_the_same_values_stands_on_the_ground():
    assert sparkline(np.array([0.1 + 0.2, 0.3, 0.3]), 3) == "▁▁▁"


@pytest.mark.parametrize("values", [[], [NAN], [np.inf, -np.inf], [NAN, NAN, NAN]])
def test_a_sparkline_of_nothing_finite_is_blank(values):
    assert sparkline(np.array(values, float), 5) == "     "


def test_a_sparkline_leaves_a_hole_for_a_nan_and_is_right_aligned():
    assert sparkline(np.array([0.0, NAN, 1.0]), 5) == "  ▁ ▇"


def test_a_long_series_is_averaged_into_the_cells():
    assert sparkline(np.repeat([0.0, 6.0, 3.0], 100), 3) == "▁▇▄"


def test_a_sparkline_of_huge_values_is_drawn():
    assert sparkline(np.array([-1.7e308, 0.0, 1.7e308]), 3) == "▁▄▇"


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0, "────"), (0.5, "━━──"), (0.625, "━━╸─"), (1, "━━━━"), (7, "━━━━"), (-1, "────"), (NAN, "────")],
)
def test_a_meter_in_half_cells(share, expected):
    assert "".join(charts.meter(share, 4)) == expected


@pytest.mark.parametrize(
    ("value", "cell"),
    [(1e-5, 0), (1e-3, 2), (1e-1, 4), (1e-9, 0), (5.0, 4), (0.0, None), (-1.0, None), (NAN, None), (np.inf, None)],
)
def test_the_place_on_a_log_track(value, cell):
    assert charts.log_track(value, 5, 1e-5, 1e-1) == cell


# ------------------------------------------------------------------------------------------------------ scales


def test_the_ends_of_a_scale_are_rounded_outwards_and_stand_still():
    assert scale_for([np.array([0.123, 0.987])]) == scale_for([np.array([0.13, 0.97])]) == Scale(0.1, 1.0)


def test_a_spike_in_the_raw_values_does_not_flatten_the_rest():
    raw = np.concatenate([np.linspace(1, 2, 1000), [1e6]])
    assert scale_for([raw], quantiles=(0.02, 0.97)).high < 3


def test_an_average_always_fits():
    assert scale_for([np.array([1.0, 2.0]), np.array([50.0])]).high >= 50


def test_a_log_scale_falls_back_to_linear_where_a_value_is_not_positive():
    assert scale_for([np.array([1.0, 100.0])], log=True).log
    assert not scale_for([np.array([0.0, 100.0])], log=True).log


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    "values", [[], [NAN], [0.0], [-3.0, -3.0], [1e-300], [1.7e308, -1.7e308], [5e-324, 1.7e308], [np.inf, 1.0]]
)
def test_any_values_have_a_scale_with_ticks_that_lie_in_it(values, log):
    scale = scale_for([np.array(values, float)], log=log)
    assert scale.low < scale.high
    ticks = scale.ticks(5)
    assert len(ticks) <= 5
    assert all(scale.low * (1 - 1e-9) <= value <= scale.high * (1 + 1e-9) for value, _ in ticks if scale.low > 0)
    assert all(len(label) <= 6 for _, label in ticks)


def test_round_ticks():
    assert scale_for([np.array([1.8, 2.1])]).ticks(5) == [
        (pytest.approx(1.8), "1.80"),
        (pytest.approx(1.9), "1.90"),
        (pytest.approx(2.0), "2.00"),
        (pytest.approx(2.1), "2.10"),
    ]


def test_ticks_of_a_log_scale_over_decades_are_powers_of_ten():
    assert [label for _, label in Scale(1e-4, 1e3, log=True).ticks(4)] == ["1e-4", "0.010", "1.00", "100"]


def test_a_trace_without_a_finite_value_is_empty():
    nothing = np.full(4, NAN)
    assert Trace(nothing, nothing, nothing, np.ones(4, bool)).is_empty


def test_a_constant_series_is_level_whatever_the_last_bit_of_its_means():
    values = np.array([0.05, np.nextafter(0.05, 1), 0.05, np.nextafter(0.05, 0)])
    rows = np.floor(scale_for([values]).rows(values, 24) + 0.5)
    assert len(set(rows.tolist())) == 1
