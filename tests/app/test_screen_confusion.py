"""What was taken for what: in words, and as a heat map where there is room, over the whole screen with z."""

from dataclasses import replace

import numpy as np
import pytest
import screen_snapshots as snapshots
from screen_driver import shown
from test_screen_goldens import assert_golden

from monitor.app.panels import confusion
from monitor.model import ClassTable

DIGITS = tuple("0123456789")


def table(pairs, total=1000):
    """Ten digits of which only these pairs, ``{(target, taken for): samples}``, were confused."""
    confused = np.zeros((10, 10), np.int64)
    for cell, samples in pairs.items():
        confused[cell] = samples
    counts = np.full(10, total)
    right = (counts - confused.sum(axis=1)) / counts
    return ClassTable(names=DIGITS, accuracy=right, before=right, total=counts, confused=confused, step=900)


def run(pairs, **changes):
    return snapshots.healthy(val_classes=replace(table(pairs), **changes))


FEW = {(3, 8): 41, (7, 1): 120, (8, 3): 5, (3, 5): 7}


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids="{0[0]}x{0[1]}".format)
async def test_the_classes_over_the_whole_screen_look_as_designed(size):
    async with shown(snapshots.healthy(), size) as bedside:
        await bedside.press("5", "z")
        assert_golden(f"confusion-{size[0]}x{size[1]}", bedside.text)


@pytest.mark.parametrize("classes", [2, 15, 30, 64])
@pytest.mark.parametrize("size", [(100, 32), (120, 40), (200, 60)], ids="{0[0]}x{0[1]}".format)
def test_list_words_and_matrix_lie_inside_the_panel_and_apart(classes, size):
    width, height = size[0], size[1] - 3
    found = confusion.places(width, height, snapshots.classes([str(i) for i in range(classes)]), 56)

    taken = np.zeros((height, width), np.int64)
    for x, y, w, h in filter(None, found):
        taken[y : y + h, x : x + w] += 1
        assert 1 <= x <= x + w <= width - 1
        assert 1 <= y <= y + h <= height - 1
    assert taken.max() == 1
    if (classes, size) == (64, (100, 32)):
        assert found.matrix is None
    else:
        assert found.matrix.width > classes
        assert found.matrix.height - 2 >= (classes + 1) // 2


async def test_the_words_say_how_many_of_how_many_the_most_first():
    async with shown(run(FEW), (80, 24)) as bedside:
        await bedside.press("5", "z")
        first = next(y for y, line in enumerate(bedside.lines) if "confusions, most first" in line)
        told = [line.strip("│ ").split("  ")[0] for line in bedside.lines[first + 1 : first + 5]]
        assert told == [
            "7 taken for 1: 120 of 1,000",
            "3 taken for 8: 41 of 1,000",
            "3 taken for 5: 7 of 1,000",
            "8 taken for 3: 5 of 1,000",
        ]
        assert "4.1%" in bedside.lines[first + 2]


async def test_of_a_selected_class_only_its_own_are_told_and_its_row_is_marked():
    async with shown(run(FEW)) as bedside:
        await bedside.press("5", "z", "j")  # the worst is 7, the next 3
        assert "confusions of 3, most first" in bedside.text
        assert "3 taken for 8: 41 of 1,000" in bedside.text
        assert "taken for 1:" not in bedside.text
        assert sum("3▸" in line for line in bedside.lines) == 1


async def test_the_selected_class_may_have_no_samples_in_the_next_counts():
    async with shown(run(FEW)) as bedside:
        await bedside.press("5", "z", "slash", "7", "enter", "j")
        assert "confusions of 7, most first" in bedside.text
        bedside.now_s += 2
        await bedside.tick(snapshots.newer(run(FEW, accuracy=np.where(np.arange(10) == 7, np.nan, 0.9))))
        assert bedside.panel("classes").selected is None
        assert "what it is ↓   taken for →" in bedside.text
        assert "every sample was right" not in bedside.text


async def test_a_filter_of_the_classes_is_one_of_the_words_too():
    async with shown(run(FEW)) as bedside:
        await bedside.press("5", "z", "slash", "7", "enter")
        assert "7 taken for 1: 120 of 1,000" in bedside.text
        assert "3 taken for" not in bedside.text


def test_a_share_of_a_class_is_a_level_of_heat_on_a_log_scale_and_none_is_none():
    level = confusion.levels(table({(3, 8): 100, (3, 5): 10, (3, 1): 1}))

    assert level[3, [8, 5, 1, 0]].tolist() == [6, 3, 0, -1]
    assert level[0, 0] == 9


async def test_each_pair_has_the_colour_of_its_level_in_its_row_and_column():
    snapshot = run({(3, 8): 100})
    async with shown(snapshot) as bedside:
        await bedside.press("5", "z")
        palette = bedside.app._palette
        labels = next(y for y, line in enumerate(bedside.lines) if all(f" {digit} " in line for digit in DIGITS))
        for target, taken_for, level in ((3, 3, 9), (3, 8, 6), (0, 0, 9)):
            x, y = bedside.lines[labels].index(f" {taken_for} ") + 1, labels - 10 + target
            assert bedside.style_at(x, y).color == palette.styles[palette.heat_cell(level, level)[1]].color
        x = bedside.lines[labels].index(" 1 ") + 1
        assert {bedside.lines[labels - 10][x + cell] for cell in range(5)} == {" ", "·"}, "no 0 was taken for a 1"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"split": "train", "confused": None}, "it comes with a validation"),
        ({"confused": None}, "the probe of this run did not count pairs of classes"),
    ],
)
async def test_where_it_is_not_known_the_panel_says_why(changes, why):
    async with shown(run(FEW, **changes)) as bedside:
        await bedside.press("5", "z")
        assert why in bedside.text


async def test_of_more_than_64_classes_it_says_that_their_pairs_are_not_counted():
    async with shown(snapshots.many_classes()) as bedside:
        await bedside.press("5", "z")
        assert "pairs of classes are counted for up to 64 of them; here are 1,000" in bedside.text


async def test_where_every_sample_was_right_it_says_so():
    async with shown(run({})) as bedside:
        await bedside.press("5", "z")
        assert "none: every sample was right" in bedside.text
