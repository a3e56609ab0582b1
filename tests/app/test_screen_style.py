"""The few places where colour carries meaning, and that it never carries it alone."""

import pytest
import screen_snapshots as snapshots
from screen_driver import shown

from monitor.app.palette import CYCLES, Palette, themes_for


def colour(style):
    return style.color.get_truecolor().hex


async def test_the_frame_of_the_alerts_is_red_only_while_a_critical_one_is_open():
    async with shown(snapshots.alarming()) as bedside:
        assert colour(bedside.style_of("╭─ alerts")) == "#8a3338"
        calm = snapshots.newer(bedside.snapshot, alerts=(snapshots.OVERFITTING,))
        await bedside.tick(calm)
        assert colour(bedside.style_of("╭─ alerts")) == "#2a3744"


async def test_an_acknowledged_critical_alert_leaves_the_frame_alone():
    import msgspec

    seen = msgspec.structs.replace(snapshots.SPIKE, acknowledged=True)
    async with shown(snapshots.healthy(alerts=(seen,))) as bedside:
        assert colour(bedside.style_of("╭─ alerts")) == "#2a3744"
        assert "seen" in bedside.text


async def test_each_severity_has_its_own_sign_and_colour():
    async with shown(snapshots.alarming()) as bedside:
        assert [colour(bedside.style_of(sign)) for sign in ("✗ 1", "▲ 2", "● 1")] == ["#ff5f5f", "#f0d442", "#8fa7ff"]


async def test_a_loss_that_is_not_a_number_is_red():
    async with shown(snapshots.nan_only()) as bedside:
        assert colour(bedside.style_of("NaN")) == "#ff5f5f"


async def test_the_focused_panel_has_a_bright_frame():
    async with shown(snapshots.healthy()) as bedside:
        assert colour(bedside.style_of("╭─ loss")) == "#56b4e9"
        assert colour(bedside.style_of("╭─ layers")) == "#2a3744"


@pytest.mark.parametrize("theme", ["night", "night256", "paper", "paper256", "ansi16", "mono"])
async def test_every_theme_shows_the_same_text(theme):
    async with shown(snapshots.alarming()) as night, shown(snapshots.alarming(), theme=theme) as other:
        assert other.text == night.text


async def test_no_color_has_no_colour_at_all(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    async with shown(snapshots.alarming(), theme=None) as bedside:
        styles = [segment.style for strip in bedside.strips for segment in strip]
        assert all(
            style is not None and style.color in (None, style.color.default()) for style in styles if style.color
        )
        assert "✗ 1  ▲ 2  ● 1" in bedside.text


@pytest.mark.parametrize(
    ("color_system", "no_color", "first"),
    [
        ("truecolor", False, "night"),
        ("256", False, "night256"),
        ("standard", False, "ansi16"),
        ("windows", False, "ansi16"),
        (None, False, "mono"),
        ("truecolor", True, "mono"),
    ],
)
def test_the_terminal_chooses_the_palette(color_system, no_color, first):
    assert themes_for(color_system, no_color=no_color)[0] == first


@pytest.mark.parametrize("name", CYCLES["truecolor"])
def test_every_pen_has_a_background_or_the_terminals_own(name):
    palette = Palette(name)
    for ink in ("text", "crit", "frame", "train_low"):
        style = palette.styles[palette.pen(ink)]
        assert style.bgcolor is not None or palette.is_mono


@pytest.mark.parametrize("name", ["night256", "paper256"])
def test_the_palettes_for_256_colours_hold_only_colours_that_xterm_has(name):
    steps = {0, 95, 135, 175, 215, 255}
    palette = Palette(name)
    for ink in ("bg", "text", "frame", "train", "val", "ok", "warn", "crit", "info", "other", "ok_low", "crit_low"):
        red, green, blue = palette.styles[palette.pen(ink)].color.triplet
        assert {red, green, blue} <= steps or (red == green == blue and (red - 8) % 10 == 0)
