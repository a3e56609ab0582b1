"""Every key does what the help says."""

import msgspec
import pytest
import screen_snapshots as snapshots
from screen_driver import shown

from monitor.app.app import MonitorApp
from monitor.app.keymap import COMMANDS, PANEL_KEYS


def focused(bedside):
    return bedside.app.view.focus


@pytest.mark.parametrize(("panel", "key"), PANEL_KEYS.items())
async def test_a_panels_key_focuses_it(key, panel):
    async with shown(snapshots.alarming()) as bedside:
        await bedside.press(key)
        assert focused(bedside) == panel


async def test_tab_goes_through_the_panels_and_back():
    async with shown(snapshots.alarming()) as bedside:
        await bedside.press("tab", "tab")
        assert focused(bedside) == "vitals"
        await bedside.press("shift+tab", "shift+tab", "shift+tab")
        assert focused(bedside) == "rate"


async def test_tab_stays_with_the_panels_in_sight_on_a_narrow_screen():
    async with shown(snapshots.alarming(), (80, 24)) as bedside:
        seen = []
        for _ in range(3):
            await bedside.press("tab")
            seen.append(focused(bedside))
        assert seen == ["vitals", "layers", "loss"]


async def test_a_panel_without_a_place_gets_one_with_the_focus():
    async with shown(snapshots.alarming(), (80, 24)) as bedside:
        assert "╭─ class accuracy" not in bedside.text
        await bedside.press("5")
        assert "╭─ class accuracy" in bedside.text


@pytest.mark.parametrize("key", ["j", "down"])
async def test_down_opens_the_next_alert(key):
    async with shown(snapshots.alarming()) as bedside:
        assert "the gradient norm is 34.7" in bedside.text
        await bedside.press("2", key)
        assert "the gradient norm is 34.7" not in bedside.text
        assert "38% of the units of layer1.1.bn1" in bedside.text


@pytest.mark.parametrize("key", ["k", "up"])
async def test_up_goes_back_and_stops_at_the_first(key):
    async with shown(snapshots.alarming()) as bedside:
        await bedside.press("2", "j", key, key)
        assert "the gradient norm is 34.7" in bedside.text


async def test_shift_g_goes_to_the_last_and_g_to_the_first():
    async with shown(snapshots.many_layers()) as bedside:
        await bedside.press("4", "G")
        assert "of 2,000" in bedside.text
        assert "499.mlp.down" in bedside.text
        await bedside.press("g")
        assert ".blocks.0.attn.qkv" in bedside.text


async def test_the_selected_alert_stays_selected_when_a_worse_one_comes():
    calm = snapshots.healthy(alerts=(snapshots.OVERFITTING, snapshots.DEAD))
    async with shown(calm) as bedside:
        await bedside.press("2", "j")
        assert "validation loss has risen" in bedside.text
        await bedside.tick(snapshots.newer(calm, alerts=(*calm.alerts, snapshots.SPIKE)))
        assert "validation loss has risen" in bedside.text


async def test_enter_takes_the_charts_to_the_selected_alert_and_escape_back():
    async with shown(snapshots.alarming()) as bedside:
        await bedside.press("enter")
        assert bedside.app.view.held == (12136, 12778)
        assert "log ema .90 held" in bedside.text
        await bedside.press("escape")
        assert bedside.app.view.held is None
        assert "held" not in bedside.text


async def test_the_keys_act_on_the_alert_that_the_filter_leaves():
    async with shown(snapshots.alarming()) as bedside:
        await bedside.press("2", "slash", *"dead", "enter")
        assert "exploding-gradient" not in "".join(bedside.lines[4:])
        await bedside.press("a")
        assert bedside.app.view.attention.seen == {snapshots.DEAD.id}


async def test_where_the_banner_tells_of_an_alert_the_keys_act_on_that_one():
    alike = msgspec.structs.replace(snapshots.DEAD, raised_step=snapshots.OVERFITTING.raised_step)
    async with shown(snapshots.alarming(alerts=(snapshots.OVERFITTING, alike)), size=(80, 24)) as bedside:
        assert "▲ dead-units since step" in bedside.lines[2]
        await bedside.press("a")
        assert bedside.app.view.attention.seen == {alike.id}
        assert "▲ overfitting since step" in bedside.lines[2]


async def test_a_cursor_that_is_out_of_sight_does_not_turn_the_keys_from_the_banner():
    async with shown(snapshots.alarming()) as bedside:
        await bedside.press("2", "j", "w")
        assert any("exploding-gradient since step" in line for line in bedside.lines[:4])
        await bedside.press("a")
        assert bedside.app.view.attention.seen == {snapshots.SPIKE.id}


async def test_enter_without_an_alert_does_nothing():
    async with shown(snapshots.healthy()) as bedside:
        before = bedside.text
        await bedside.press("enter")
        assert bedside.text == before


async def test_l_switches_between_log_and_linear():
    async with shown(snapshots.healthy()) as bedside:
        assert "loss log ema .90" in bedside.text
        await bedside.press("l")
        assert "loss linear ema .90" in bedside.text


async def test_log_of_values_that_are_not_positive_is_linear_and_says_so():
    at = range(1, 101)
    series = {"train/loss": snapshots.ArrayView("train/loss", at, [1 - step / 50 for step in at])}
    async with shown(snapshots.healthy(series=series, steps=100)) as bedside:
        assert "linear (log needs positive values)" in bedside.text


async def test_s_goes_through_the_smoothings():
    async with shown(snapshots.healthy()) as bedside:
        seen = []
        for _ in range(4):
            await bedside.press("s")
            seen.append(bedside.lines[2].split(" ──")[0])
        assert seen == ["╭─ loss log ema .98", "╭─ loss log", "╭─ loss log ema .60", "╭─ loss log ema .90"]


async def test_brackets_go_through_the_ranges_and_stop_at_the_ends():
    async with shown(snapshots.healthy()) as bedside:
        seen = []
        for key in ["left_square_bracket", *["right_square_bracket"] * 4, "left_square_bracket"]:
            await bedside.press(key)
            seen.append(bedside.app.view.range)
        assert seen == ["all", "1/3", "1/10", "last 1k", "last 1k", "1/10"]


async def test_a_range_shows_its_place_in_the_bottom_line():
    async with shown(snapshots.healthy()) as bedside:
        await bedside.press("right_square_bracket")
        bar = next(line for line in bedside.lines if "╰" in line and "━" in line)[:76]
        assert bar.startswith("╰──")
        assert bar.rstrip("╯").endswith("━━")
        assert 23 <= bar.count("━") <= 29


async def test_f_goes_back_to_the_whole_run():
    async with shown(snapshots.alarming()) as bedside:
        await bedside.press("right_square_bracket", "enter", "f")
        assert (bedside.app.view.range, bedside.app.view.held) == ("all", None)


async def test_z_gives_the_focused_panel_the_whole_screen_and_back():
    async with shown(snapshots.alarming(), (80, 24)) as bedside:
        await bedside.press("4", "z")
        assert "‖w‖" in bedside.text
        assert "╭─ loss" not in bedside.text
        await bedside.press("z")
        assert "╭─ loss" in bedside.text


async def test_t_changes_the_theme():
    async with shown(snapshots.alarming()) as bedside:
        before = bedside.style_of("exploding-gradient")
        text = bedside.text
        await bedside.press("t")
        assert bedside.style_of("exploding-gradient") != before
        assert bedside.text == text


async def test_help_names_the_focused_panel_and_any_key_closes_it():
    async with shown(snapshots.alarming()) as bedside:
        await bedside.press("4", "question_mark")
        assert "how far a step moves the weights" in bedside.text
        await bedside.press("z")
        assert "how far a step moves the weights" not in bedside.text
        assert not bedside.app.view.zoomed


async def test_help_says_that_training_goes_on():
    async with shown(snapshots.healthy()) as bedside:
        await bedside.press("question_mark")
        assert "quit; training goes on" in bedside.text


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_q_quits_and_so_does_ctrl_c(key):
    async with shown(snapshots.healthy()) as bedside:
        await bedside.press(key)
        assert not bedside.app.is_running


def test_no_two_commands_share_a_key_or_a_name():
    keys = [key for command in COMMANDS for key in command.keys.split(",")]
    assert len(set(keys)) == len(keys)
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)


def test_every_command_of_the_keymap_is_one_of_the_program():
    actions = [f"action_{command.action.partition('(')[0]}" for command in COMMANDS]
    assert [action for action in actions if not hasattr(MonitorApp, action)] == []


@pytest.mark.parametrize("panel", PANEL_KEYS)
async def test_the_help_of_every_panel_fits_a_small_screen_with_every_key(panel):
    async with shown(snapshots.alarming(), (80, 24)) as bedside:
        await bedside.press(PANEL_KEYS[panel], "question_mark")
        assert "q quit; training goes on" in bedside.text


async def test_a_click_focuses_and_the_wheel_moves_the_cursor():
    async with shown(snapshots.alarming()) as bedside:
        await bedside.pilot.click("#layers")
        assert focused(bedside) == "layers"
        panel = bedside.panel("alerts")
        panel.post_message(panel.Chosen(panel, by=1))
        await bedside.pilot.pause()
        assert focused(bedside) == "alerts"
        assert panel.index == 1


async def test_a_click_selects_the_row_that_is_there():
    async with shown(snapshots.alarming()) as bedside:
        top = next(y for y, line in enumerate(bedside.lines) if "▲ dead-units" in line)
        await bedside.pilot.click("#alerts", offset=(5, top - 2))
        assert "38% of the units of layer1.1.bn1" in bedside.text
        row = next(y for y, line in enumerate(bedside.lines) if line.startswith("│   layer1.0.bn1 "))
        panel = bedside.panel("layers")
        await bedside.pilot.click("#layers", offset=(5, row - panel.region.y))
        assert bedside.snapshot.layers.layers[panel.cursor].name == "layer1.0.bn1"


async def test_a_click_into_the_loss_sets_the_crosshair():
    async with shown(snapshots.healthy()) as bedside:
        await bedside.pilot.click("#loss", offset=(7 + 30, 6))
        assert bedside.app.view.cross == 60 * 110


async def test_a_click_beside_the_rows_and_the_plot_only_focuses():
    async with shown(snapshots.healthy()) as bedside:
        await bedside.pilot.click("#loss", offset=(2, 5))
        await bedside.pilot.click("#classes", offset=(2, 0))
        assert (bedside.app.view.cross, bedside.panel("classes").cursor, focused(bedside)) == (None, None, "classes")
