"""A matrix over the steps, in half cells."""

import numpy as np
import pytest
import screen_snapshots as snapshots
from screen_driver import shown

from monitor.app import heatmap
from monitor.app.palette import Palette
from monitor.app.scene import Scene

NAN = np.nan
SCENE = Scene(Palette("night"), snapshots.healthy(steps=100))


def test_a_column_shows_the_newest_row_in_it_or_the_one_before():
    steps, values = np.array([10, 50, 60]), np.array([[1.0], [2.0], [3.0]])
    found = heatmap.columns(SCENE, steps, values, 10)[0]
    np.testing.assert_array_equal(found, [1.0, 1.0, 1.0, 1.0, 2.0, 3.0, NAN, NAN, NAN, NAN])


def test_a_column_is_at_the_steps_of_the_axis_below_it():
    scene = Scene(Palette("night"), snapshots.healthy(steps=60))
    found = heatmap.columns(scene, np.arange(1, 61), np.arange(1.0, 61.0)[:, None], 48)[0]
    assert scene.labels(scene.window(96), 48) == [(23, "50")]  # its middle is over cell 24
    np.testing.assert_array_equal(found, [*range(2, 61, 2), *[NAN] * 18])


def test_of_several_rows_in_a_half_line_the_largest_is_shown():
    cells = np.array([[1.0], [9.0], [NAN], [2.0]])
    assert heatmap.folded(cells, 2).tolist() == [[9.0], [2.0]]
    assert heatmap.folded(cells, 4) is cells


@pytest.mark.parametrize(("rows", "most"), [(3, 10), (10, 10), (35, 20), (2000, 36)])
def test_a_row_is_where_its_values_are_drawn(rows, most):
    for index in (0, 1, rows // 2, rows - 1):
        cells = np.zeros((rows, 1))
        cells[index] = 1.0
        assert heatmap.folded(cells, most)[heatmap.row_of(index, rows, most), 0] == 1.0


async def test_a_layer_that_an_alert_names_has_its_sign_beside_its_row():
    async with shown(snapshots.alarming(), (200, 60)) as bedside:
        top = next(y for y, line in enumerate(bedside.lines) if "╭─ gradients" in line)
        index = snapshots.LAYER_NAMES.index("layer1.0.bn2")
        assert "│✗" in bedside.lines[top + 1 + index // 2]


def test_levels_go_from_the_smallest_to_the_largest_and_mark_what_is_no_number():
    cells = np.array([[0.0, 1.0, 2.0, NAN, np.inf, -np.inf]])
    assert heatmap.levels(cells).tolist() == [[0, 5, 9, heatmap.ABSENT, heatmap.BAD, heatmap.BAD]]


def test_constant_values_are_in_the_middle():
    assert heatmap.levels(np.full((1, 3), 7.0)).tolist() == [[5, 5, 5]]


async def test_a_wide_screen_has_the_gradients_of_the_layers_and_the_events():
    async with shown(snapshots.alarming(), (200, 60)) as bedside:
        assert "╭─ gradients" in bedside.text
        assert "35 layers" in bedside.text
        assert "╭─ events" in bedside.text
        assert bedside.text.count("▀") == 14 * 46 + 10  # the lines of the map, and its scale


async def test_in_mono_the_heat_is_in_the_signs():
    async with shown(snapshots.alarming(), (200, 60), theme="mono") as bedside:
        assert {"░", "▒", "▓"} <= set(bedside.text)


async def test_the_classes_over_the_whole_screen_have_their_course():
    async with shown(snapshots.healthy(), (120, 40)) as bedside:
        await bedside.press("5", "z")
        assert bedside.text.count("▀") > 10 * 40


async def test_a_thousand_classes_and_two_thousand_layers_are_drawn():
    for make in (snapshots.many_classes, snapshots.many_layers):
        async with shown(make(), (200, 60)) as bedside:
            assert "▀" in bedside.text
