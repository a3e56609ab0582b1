"""What the screen says in each state of a run, and that it says something at every size."""

import pytest
import screen_snapshots as snapshots
from screen_driver import shown

from monitor.app import layout
from monitor.app.canvas import Canvas
from monitor.app.palette import Palette
from monitor.app.panels import PANELS
from monitor.app.scene import Scene, View
from monitor.app.stage import Stage

SIZES = [
    (width, height) for width in (60, 61, 79, 99, 100, 139, 160, 180, 240) for height in (16, 19, 31, 32, 45, 70)
]
RESIZES = [(1, 1), (60, 15), (60, 16), (99, 40), (100, 32), (200, 24), (180, 32), (300, 90), (80, 24)]


def draw(stage, snapshot, width, height, **view):
    """Draw every panel that this size has a place for, and count the cells that they cover."""
    chosen = View(**view)
    stage.places = layout.place(width, height, focus=chosen.focus, zoomed=chosen.zoomed, banner=1)
    scene = Scene(Palette("night"), snapshot, chosen, snapshots.NOW_S, snapshots.WALL)
    covered = 0
    for name, area in stage.places.items():
        canvas = Canvas(area.width, area.height, 0)
        stage.panels[name].draw(canvas, scene)
        assert all(canvas.strip(y, scene.palette).cell_length == area.width for y in range(area.height))
        covered += area.width * area.height
    return covered


@pytest.mark.parametrize("state", snapshots.STATES)
def test_every_state_is_drawn_at_every_size_without_a_hole(state):
    stage, snapshot = Stage(), snapshots.STATES[state]()
    assert [draw(stage, snapshot, *size) for size in SIZES] == [width * height for width, height in SIZES]


@pytest.mark.parametrize("focus", PANELS)
def test_every_panel_is_drawn_over_the_whole_screen_in_every_state(focus):
    stage = Stage()
    for make in snapshots.STATES.values():
        assert draw(stage, make(), 80, 24, focus=focus, zoomed=True) == 80 * 24


async def test_the_screen_follows_the_terminal_through_every_size():
    async with shown(snapshots.alarming(), (120, 40)) as bedside:
        for width, height in RESIZES:
            await bedside.pilot.resize_terminal(width, height)
            await bedside.pilot.pause()
            assert [strip.cell_length for strip in bedside.strips] == [width] * height


async def test_too_small_a_screen_says_what_it_needs():
    async with shown(snapshots.healthy(), (59, 16)) as bedside:
        assert "59x16 is too small" in bedside.text
        assert "bedside needs 60x16" in bedside.text


async def test_waiting_says_how_a_run_comes_to_be():
    async with shown(snapshots.waiting()) as bedside:
        assert "import probe; probe.attach(model, optimizer)" in bedside.text
        assert "no gradient yet" in bedside.text


async def test_a_run_without_validation_says_how_to_have_one():
    async with shown(snapshots.one_step()) as bedside:
        assert "no validation yet: use torch.no_grad(), or run.validation(loss=…)" in bedside.text


async def test_without_a_total_there_is_no_progress_bar_and_no_time_left():
    async with shown(snapshots.one_step()) as bedside:
        assert bedside.lines[1].split() == ["step", "1", "1s"]


async def test_loading_shows_the_share_of_the_history():
    async with shown(snapshots.loading()) as bedside:
        assert "⇣ loading 43%" in bedside.lines[0]
        assert "43% of the history" in bedside.lines[1]


async def test_a_failed_run_says_the_last_line_of_its_error():
    async with shown(snapshots.failed()) as bedside:
        assert bedside.lines[0].startswith(" ✗ FAILED  r07")
        assert bedside.lines[2].startswith(" ✗ failed at step 12,843  RuntimeError: CUDA out of memory.")


async def test_a_vanished_run_says_that_there_was_no_goodbye():
    async with shown(snapshots.vanished()) as bedside:
        assert " ✗ ended without a goodbye  last step 12,843" in bedside.lines[2]


async def test_a_lost_link_keeps_the_last_data_and_says_how_old_they_are():
    async with shown(snapshots.link_lost()) as bedside:
        assert "✗ link lost 1m" in bedside.lines[0]
        assert "nothing heard for 1m" in bedside.lines[2]
        assert "train 0.4401" in bedside.text


async def test_a_stalled_run_says_since_when():
    async with shown(snapshots.stalled()) as bedside:
        assert bedside.lines[0].startswith(" ▲ STALLED")
        assert "✗ stalled 4m" in bedside.lines[0]


@pytest.mark.parametrize(
    ("age_s", "step_s", "expected"),
    [
        (0.2, 0.25, "⇣ live <1s"),
        (4.0, 0.25, "⇣ live  4s"),
        (5.0, 0.25, "▲ last 5s ago"),
        (59.0, 0.25, "▲ last 59s ago"),
        (60.0, 0.25, "✗ silent 1m"),
        (14.0, 5.0, "⇣ live 14s"),
        (15.0, 5.0, "▲ last 15s ago"),
        (100.0, 5.0, "✗ silent 1m"),
    ],
)
async def test_the_age_of_the_data_is_judged_by_the_pace_of_the_run(age_s, step_s, expected):
    snapshot = snapshots.healthy(heard_s=snapshots.NOW_S - age_s, step_s=step_s)
    async with shown(snapshot) as bedside:
        assert expected in bedside.lines[0]


async def test_the_worst_class_comes_first_of_a_thousand():
    async with shown(snapshots.many_classes()) as bedside:
        table = snapshots.many_classes().val_classes
        worst = f"class {table.accuracy.argmin():03}"
        assert bedside.lines[bedside.text[: bedside.text.index("worst first")].count("\n") + 1].count(worst) == 1
        assert "1,000 classes" in bedside.text


async def test_text_from_a_training_script_cannot_command_the_terminal():
    hello = snapshots.hello(name="\x1b]0;owned\x07\x1b[2Jr\u202e07\n", model="模型\u200b")
    async with shown(snapshots.healthy(hello=hello)) as bedside:
        assert "·]0;owned··[2Jr·07·" in bedside.lines[0]
        assert "模型" in bedside.lines[0]
        assert [strip.cell_length for strip in bedside.strips] == [120] * 40


async def test_the_notices_of_the_recorder_are_shown():
    snapshot = snapshots.healthy(notices=("The disk is full: steps from 900 on are not recorded.",))
    async with shown(snapshot) as bedside:
        assert "○ The disk is full: steps from 900 on" in bedside.text
