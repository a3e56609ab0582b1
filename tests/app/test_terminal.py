"""What is sent to the terminal beside the screen, by what it understands; and when nothing is sent."""

import pytest
import screen_snapshots as snapshots
from screen_driver import shown
from textual import events

from monitor.app import base, terminal
from monitor.app.palette import is_light, themes_for
from monitor.app.terminal import Signals, note

ALARM = (snapshots.OVERFITTING, snapshots.SPIKE)


@pytest.mark.parametrize(("env", "sequence"), [
    ({"TERM_PROGRAM": "iTerm.app"}, "\x1b]9;✗ hi\x07"),
    ({"TERM_PROGRAM": "WezTerm", "TERM": "xterm-256color"}, "\x1b]9;✗ hi\x07"),
    ({"TERM": "foot"}, "\x1b]777;notify;bedside;✗ hi\x07"),
    ({"VTE_VERSION": "7600"}, "\x1b]777;notify;bedside;✗ hi\x07"),
    ({"KITTY_WINDOW_ID": "1"}, "\x1b]99;;✗ hi\x1b\\"),
    ({"TMUX": "/tmp/tmux", "TERM_PROGRAM": "tmux"}, "\x1bPtmux;\x1b\x1b]9;✗ hi\x07\x1b\\"),
    ({"TERM": "xterm-256color"}, ""),
    ({}, ""),
])  # fmt: skip
def test_a_note_is_sent_as_the_terminal_understands_it(env, sequence):
    assert note("✗ hi", env) == sequence


def test_a_note_cannot_command_the_terminal():
    assert note("a\x07\x1b]0;b", {"TERM_PROGRAM": "iTerm.app"}) == "\x1b]9;a··]0;b\x07"


@pytest.fixture
def sent(monkeypatch):
    """Everything that is written past the screen."""
    written = []
    monkeypatch.setattr(terminal, "_write", lambda _app, sequence: written.append(sequence))
    monkeypatch.setenv("TERM_PROGRAM", "iTerm.app")
    for name in ("TMUX", "KITTY_WINDOW_ID"):
        monkeypatch.delenv(name, raising=False)
    return written


async def test_a_new_critical_alert_sends_a_note_with_its_run_and_its_rule(sent):
    calm = snapshots.healthy(alerts=ALARM[:1])
    async with shown(calm) as bedside:
        await bedside.tick(snapshots.newer(calm, alerts=ALARM))
        notes = [sequence for sequence in sent if sequence.startswith("\x1b]9;")]
    assert notes == [f"\x1b]9;✗ r07: exploding-gradient: {snapshots.SPIKE.summary}\x07"]


async def test_what_the_settings_keep_quiet_is_not_sent(sent, monkeypatch):
    calm = snapshots.healthy(alerts=ALARM[:1])
    async with shown(calm, signals=Signals(bell=False, notify=False, title=False)) as bedside:
        rung = []
        monkeypatch.setattr(bedside.app, "bell", lambda: rung.append(1))
        await bedside.tick(snapshots.newer(calm, alerts=ALARM))
    assert (sent, rung) == ([], [])


@pytest.mark.parametrize(("value", "light"), [("0;15", True), ("0;default;7", True), ("15;0", False), ("", False)])
def test_a_terminal_that_says_that_it_is_light_gets_paper(value, light):
    assert is_light({"COLORFGBG": value}) is light
    assert themes_for("256", light=light)[0] == ("paper256" if light else "night256")
    assert themes_for("standard", light=light)[0] == "ansi16"


def count_ticks(bedside, monkeypatch):
    ticks = []
    monkeypatch.setattr(bedside.app, "tick", lambda **_: ticks.append(bedside.now_s))
    return ticks


async def test_a_window_without_the_focus_is_drawn_once_a_second(monkeypatch):
    async with shown(snapshots.healthy()) as bedside:
        ticks = count_ticks(bedside, monkeypatch)
        bedside.app.post_message(events.AppBlur())
        await bedside.pilot.pause()
        for _ in range(12):
            bedside.now_s += 0.25
            bedside.app.beat()
        assert len(ticks) == 12 * 0.25 / base.UNSEEN_S
        bedside.app.post_message(events.AppFocus())
        await bedside.pilot.pause()
        bedside.now_s += 0.25
        bedside.app.beat()
        assert len(ticks) == 4


async def test_nothing_is_drawn_while_the_line_has_not_taken_what_was_sent(monkeypatch):
    async with shown(snapshots.healthy()) as bedside:
        ticks = count_ticks(bedside, monkeypatch)
        monkeypatch.setattr(base, "is_behind", lambda _app: True)
        bedside.app.beat()
        assert ticks == []
        monkeypatch.setattr(base, "is_behind", lambda _app: False)
        bedside.app.beat()
        assert len(ticks) == 1
