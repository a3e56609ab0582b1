"""From an alert to its moment: the crosshair, the window, the events, what a person has seen and what stays quiet."""

import re

import pytest
import screen_snapshots as snapshots
from screen_driver import shown

from monitor.app.attention import MUTE_S

SPIKE_STEP = 12_457


def title(bedside):
    return next(line for line in bedside.lines if "╭─ loss" in line)


async def test_enter_takes_the_crosshair_to_the_alert_and_puts_the_layer_at_fault_first():
    async with shown(snapshots.alarming()) as bedside:
        await bedside.press("enter")
        assert bedside.app.view.cross == SPIKE_STEP
        assert "step 12,457" in title(bedside)
        row = next(y for y, line in enumerate(bedside.lines) if "✗ layer1.0.bn2 " in line)
        assert "layer" in bedside.lines[row - 1]
        name = bedside.lines[row].index("layer1.0.bn2")
        assert bedside.style_at(name, row).bgcolor.get_truecolor().hex == "#16202b"


async def test_enter_again_says_why_with_evidence_rule_and_offers():
    said = {"exploding-gradient": "A step whose gradient\nis far above its median."}
    async with shown(snapshots.alarming(), explain=lambda rule: said.get(rule, "")) as bedside:
        await bedside.press("enter", "enter")
        for part in ("✗ critical  since step 12,457, said at 12,470", "median", "0.61", "in layer1.0.bn2"):
            assert part in bedside.text
        assert "A step whose gradient" in bedside.text
        await bedside.press("x")
        assert "is far above its median." not in bedside.text


async def test_the_arrows_move_the_crosshair_by_a_cell_and_shift_by_ten():
    async with shown(snapshots.healthy()) as bedside:
        await bedside.press("left")
        first = bedside.app.view.cross
        await bedside.press("left")
        cell = first - bedside.app.view.cross
        assert cell == 2 * 110  # two dot columns of 110 steps
        await bedside.press("shift+left", "right")
        assert bedside.app.view.cross == first - 10 * cell


async def test_the_crosshair_tells_the_values_of_its_step():
    snapshot = snapshots.healthy()
    async with shown(snapshot) as bedside:
        await bedside.press("left", "left")
        step = bedside.app.view.cross
        value = float(snapshot.series["train/loss"].between(step, step)[1][0])
        assert f"step {step:,}" in title(bedside)
        assert f"train {value:.4f}" in title(bedside)
        assert re.search(r"val 0\.\d{4}", title(bedside))


async def test_the_crosshair_is_in_every_chart():
    async with shown(snapshots.healthy()) as bedside:
        panels = [bedside.panel(name) for name in ("loss", "grad", "lr", "rate")]
        before = [panel._grid.pens.copy() for panel in panels]
        await bedside.press("left", "shift+left")
        changed = [panel._grid.pens != pens for panel, pens in zip(panels, before, strict=True)]
        assert [cells[1:-2].any(axis=1).all() for cells in changed] == [True] * 4


async def test_the_crosshair_stops_at_both_ends_of_the_run():
    async with shown(snapshots.healthy()) as bedside:
        await bedside.press("right")
        assert bedside.app.view.cross == 12_843
        await bedside.press(*["shift+left"] * 9)
        assert bedside.app.view.cross == 1


async def test_e_goes_through_alerts_and_marks_and_round():
    async with shown(snapshots.alarming()) as bedside:
        seen = []
        for _ in range(7):
            await bedside.press("e")
            seen.append(bedside.app.view.cross)
        assert seen == [2900, 6000, 7600, 9360, 11_400, 12_457, 2900]
        assert bedside.lines[-1].startswith(" event 1 of 6: ▲ data-starvation, step 2,900")


async def test_shift_e_goes_back():
    async with shown(snapshots.alarming()) as bedside:
        await bedside.press("E", "E")
        assert bedside.app.view.cross == 11_400


async def test_without_events_e_says_so():
    async with shown(snapshots.healthy()) as bedside:
        await bedside.press("e")
        assert "nothing has happened yet that has a mark" in bedside.lines[-1]


async def test_plus_halves_the_window_and_minus_gives_the_whole_run_back():
    async with shown(snapshots.healthy()) as bedside:
        await bedside.press("plus")
        assert bedside.app.view.held == (6422, 12_843)
        await bedside.press("plus")
        assert bedside.app.view.held == (9633, 12_843)
        await bedside.press("minus", "minus")
        assert bedside.app.view.held is None


async def test_zooming_in_keeps_the_crosshair_in_the_middle():
    async with shown(snapshots.alarming()) as bedside:
        await bedside.press("e", "e", "plus", "plus", "plus")
        first, last = bedside.app.view.held
        assert abs((first + last) / 2 - 6000) <= 1


async def test_zooming_in_ends_at_ten_steps():
    async with shown(snapshots.healthy()) as bedside:
        await bedside.press(*["plus"] * 20)
        first, last = bedside.app.view.held
        assert last - first + 1 == 10


async def test_comma_and_full_stop_pan_by_a_quarter_and_stop_at_the_ends():
    async with shown(snapshots.healthy()) as bedside:
        await bedside.press("plus", "plus", "comma")
        assert bedside.app.view.held == (8831, 12_041)
        await bedside.press("full_stop", "full_stop")
        assert bedside.app.view.held == (9633, 12_843)


async def test_a_acknowledges_the_alert_of_the_banner_and_the_next_one_comes_up():
    async with shown(snapshots.alarming(), (80, 24)) as bedside:
        assert bedside.lines[2].startswith(" ✗ exploding-gradient since step 12,457")
        await bedside.press("a")
        assert bedside.lines[2].startswith(" ▲ dead-units since step 11,400")
        assert "exploding-gradient: seen" in bedside.lines[-1]


async def test_a_on_a_seen_alert_takes_it_back():
    async with shown(snapshots.healthy(alerts=(snapshots.SPIKE,)), (80, 24)) as bedside:
        await bedside.press("a", "a")
        assert bedside.lines[2].startswith(" ✗ exploding-gradient")


async def test_m_keeps_a_kind_quiet_for_an_hour(monkeypatch):
    async with shown(snapshots.healthy(alerts=(snapshots.SPIKE,)), (80, 24)) as bedside:
        await bedside.press("m")
        assert "exploding-gradient" not in bedside.lines[2]
        until = bedside.app.view.attention.muted["exploding-gradient"]
        assert until == snapshots.WALL.timestamp() + MUTE_S
        later = snapshots.WALL.fromtimestamp(until + 1, snapshots.WALL.tzinfo)
        monkeypatch.setattr(bedside.app, "_wall", lambda: later)
        await bedside.tick(snapshots.newer(bedside.snapshot))
        assert bedside.lines[2].startswith(" ✗ exploding-gradient")


async def test_x_labels_the_charts_with_time_and_epochs_and_steps_again():
    async with shown(snapshots.healthy()) as bedside:
        axis = [line for line in bedside.lines if "5.00k" in line]
        assert len(axis) == 1
        await bedside.press("x")
        assert "1d00h" in bedside.text
        await bedside.press("x")
        assert "epoch 10" in bedside.text
        await bedside.press("x")
        assert [line for line in bedside.lines if "5.00k" in line] == axis


async def test_a_run_without_epochs_has_none_on_its_axis():
    async with shown(snapshots.healthy(epochs=())) as bedside:
        await bedside.press("x", "x")
        assert bedside.app.view.x_axis == "step"


@pytest.mark.parametrize(("key", "panel", "typed", "kept", "gone"), [
    ("4", "layers", "layer3 !bn", "layer3.0.conv1", "layer1.0.bn2"),
    ("5", "classes", "deer", "deer  ", "cat taken for dog"),
    ("6", "runs", "lr2", "r08-lr2e-4", "r05-base"),
    ("3", "vitals", "val", "val accuracy", "step time"),
    ("2", "alerts", "dead", "dead-units", "overfitting"),
])  # fmt: skip
async def test_slash_filters_the_focused_list_while_one_types(key, panel, typed, kept, gone):
    async with shown(snapshots.alarming(), (120, 40)) as bedside:
        await bedside.press(
            key, "z", "slash", *("space" if c == " " else "exclamation_mark" if c == "!" else c for c in typed)
        )
        assert kept in bedside.text
        assert gone not in bedside.text
        await bedside.press("enter")
        assert gone not in bedside.text
        await bedside.press("slash", "escape")
        assert gone not in bedside.text
        await bedside.press("escape")
        assert bedside.app.view.filters == {}


async def test_capital_s_sorts_the_layers_by_their_gradients():
    async with shown(snapshots.healthy()) as bedside:
        await bedside.press("4", "S")
        table = bedside.snapshot.layers
        largest = table.layers[int(table.latest["grad_norm"].argmax())].name
        head = next(y for y, line in enumerate(bedside.lines) if "‖w‖" in line)
        assert largest in bedside.lines[head + 1]
        assert "largest ‖g‖" in bedside.text


async def test_capital_s_sorts_the_classes_by_their_fall():
    async with shown(snapshots.healthy()) as bedside:
        await bedside.press("5", "S")
        table = bedside.snapshot.val_classes
        fallen = table.names[int((table.accuracy - table.before).argmin())]
        head = next(y for y, line in enumerate(bedside.lines) if "fallen first" in line)
        assert fallen in bedside.lines[head + 1]


async def test_the_palette_finds_a_command_by_its_words_and_does_it():
    async with shown(snapshots.healthy()) as bedside:
        await bedside.press("colon", *"smoo", "enter")
        await bedside.pilot.pause()
        assert bedside.app.view.smoothing == 0.98


async def test_the_palette_says_when_no_command_has_the_words():
    async with shown(snapshots.healthy()) as bedside:
        await bedside.press("ctrl+p", *"xyzzy")
        assert "no command has these words" in bedside.text
        await bedside.press("escape")
        assert "commands" not in bedside.text


async def test_other_keys_do_what_the_config_file_says():
    async with shown(snapshots.healthy(), keys={"log": "y", "quit": "Q"}) as bedside:
        await bedside.press("l", "q")
        assert (bedside.app.view.log, bedside.app.is_running) == (True, True)
        await bedside.press("y")
        assert bedside.app.view.log is False
        await bedside.press("question_mark")
        assert "y log or linear" in bedside.text
        assert "Q quit" in bedside.text


async def test_a_layer_whose_weights_are_nan_says_so_and_one_without_such_a_value_does_not():
    table = snapshots.layers()
    table.latest["weight_norm"][0] = float("nan")
    table.latest["update_ratio"][0] = float("nan")
    async with shown(snapshots.healthy(layers=table)) as bedside:
        rows = {line.split()[1]: line for line in bedside.lines if "│   conv1" in line or "│   bn1 " in line}
        assert "NaN" in rows["conv1"]
        assert "NaN ✗" in rows["conv1"]
        assert "·" in rows["bn1"]
        assert "NaN" not in rows["bn1"]
