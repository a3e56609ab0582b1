"""The grid of cells: what is written stays within it, and what changed is known."""

import pytest

from monitor.app.canvas import Canvas, Run, cells_of, clip, clip_left
from monitor.app.palette import Palette
from monitor.app.panel import wrap


def test_text_is_clipped_at_both_edges():
    canvas = Canvas(4, 1, 0)
    canvas.put(-2, 0, "abcdefgh", 1)
    assert canvas.text(0) == "cdef"


@pytest.mark.parametrize("at", [(9, 0), (-9, 0), (0, -1), (0, 1)])
def test_text_outside_is_ignored(at):
    canvas = Canvas(4, 1, 0)
    canvas.put(*at, "ab", 1)
    assert canvas.text(0) == "    "


def test_a_double_width_sign_takes_two_cells():
    canvas = Canvas(5, 1, 0)
    assert canvas.put(0, 0, "模型", 1) == 4
    assert canvas.text(0) == "模型 "


def test_half_of_a_double_width_sign_is_never_left():
    canvas = Canvas(4, 1, 0)
    canvas.put(3, 0, "模", 1)
    assert canvas.text(0) == "    "
    canvas.put(0, 0, "模", 1)
    canvas.put(1, 0, "x", 1)
    assert canvas.text(0) == " x  "
    canvas.put(0, 0, "模", 1)
    canvas.put(0, 0, "y", 1)
    assert canvas.text(0) == "y   "


@pytest.mark.parametrize("sign", ["\x1b", "\x07", "\n", "\x9b", "\u202e", "\ud800", "\x00"])
def test_a_control_character_becomes_a_dot(sign):
    assert cells_of(f"a{sign}b").tolist() == [ord("a"), ord("·"), ord("b")]


def test_a_combining_sign_takes_no_cell():
    assert cells_of("e\u0301x").tolist() == [ord("e"), ord("x")]


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 4, "abc…"),
        ("模型模型", 5, "模型…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
        ("", 0, ""),
    ],
)
def test_clipping_ends_in_an_ellipsis(text, width, expected):
    assert clip(text, width) == expected


def test_clipping_from_the_left_keeps_the_end():
    assert clip_left("layer1.0.conv2", 8) == "…0.conv2"


def test_wrapping_breaks_at_spaces_and_inside_only_too_long_words():
    assert wrap("one two three", 7) == ["one two", "three"]
    assert wrap("abcdefgh ij", 4) == ["abc", "def", "gh", "ij"]
    assert wrap("", 4) == []


def test_only_the_changed_stretch_of_a_row_counts():
    before, after = Canvas(10, 3, 0), Canvas(10, 3, 0)
    after.put(3, 1, "xy", 0)
    after.put(8, 2, " ", 5)
    assert after.changed(before) == [Run(1, 3, 2), Run(2, 8, 1)]
    assert after.changed(after) == []


def test_without_a_frame_before_everything_counts():
    assert Canvas(4, 2, 0).changed(None) == [Run(0, 0, 4), Run(1, 0, 4)]


def test_every_segment_of_a_strip_has_a_style_and_runs_are_merged():
    palette = Palette("night")
    canvas = Canvas(6, 1, palette.pen("text"))
    canvas.put(2, 0, "ab", palette.pen("crit", bold=True))
    segments = list(canvas.strip(0, palette))
    assert [segment.text for segment in segments] == ["  ", "ab", "  "]
    assert all(segment.style.bgcolor is not None for segment in segments)
