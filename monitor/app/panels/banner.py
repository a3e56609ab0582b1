"""Reversed lines under the header: a bad ending, a dead line, a run that somebody holds, or (where no alerts panel is
in sight) the worst alarm: since when, what was seen, what to do, and the keys for it."""

from __future__ import annotations

from typing import Final, NamedTuple

from monitor.app import format as fmt
from monitor.app.canvas import Canvas, clip, spans_len
from monitor.app.glyphs import SEVERITY
from monitor.app.interventions import paused_by, suggested, title
from monitor.app.palette import Ink
from monitor.app.panel import Panel, wrap
from monitor.app.scene import Scene
from monitor.model import Alert, Link, RunState, Snapshot

#: On a screen of so many rows an alarm has three lines, which hold nearly every summary; two are enough to act on.
_TALL: Final = 22


class Line(NamedTuple):
    """One line: its background, its bold beginning, the rest, and the keys at its end."""

    on: Ink
    head: str
    text: str
    keys: str = ""


def worst_alarm(snapshot: Snapshot) -> Alert | None:
    """The open alarm that a person should see first; one that is acknowledged or muted is none."""
    alarms = (a for a in snapshot.open_alerts if a.severity.is_alarm and not (a.acknowledged or a.muted))
    return next(alarms, None)


def most_lines(scene: Scene, height: int) -> int:
    """How many lines the banner may take of a screen of so many rows."""
    return (3 if height >= _TALL else 2) + len(scene.view.away)


def lines(scene: Scene, width: int, most: int) -> list[Line]:
    """What there is to say in at most so many lines; nothing for a run that is well."""
    away = [Line("train_low", "", text, "esc" if not number else "") for number, text in enumerate(scene.view.away)]
    state = _state(scene)
    if state is not None:
        return [state, *away]
    alert = None if scene.has_alerts else worst_alarm(scene.snapshot)
    return [*([] if alert is None else _alarm(scene, alert, width, most - len(away))), *away]


class BannerPanel(Panel):
    TITLE = "banner"

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        palette = scene.palette
        for y, line in enumerate(lines(scene, canvas.width, canvas.height)):
            bold, pen = palette.pen("hi", bold=True, on=line.on), palette.pen("hi", on=line.on)
            canvas.put(0, y, " " * canvas.width, pen)
            x = canvas.put(1, y, clip(line.head, canvas.width - 2), bold)
            stop = canvas.put_right(canvas.width - 1, y, [(line.keys, bold)])
            canvas.put(x, y, clip(line.text, stop - x - (2 if line.keys else 0)), pen)


def _state(scene: Scene) -> Line | None:
    """How the run or the line to it ended, or who holds the run."""
    snapshot = scene.snapshot
    goodbye, step = snapshot.goodbye, fmt.count(snapshot.step)
    if snapshot.state is RunState.FAILED:
        return Line("crit_low", f"✗ failed at step {step}", f"  {_last_words(snapshot)}")
    if snapshot.state is RunState.VANISHED:
        why = goodbye.error if goodbye and goodbye.error else "killed, out of memory, or the machine went down"
        return Line("crit_low", "✗ ended without a goodbye", f"  last step {step}: {why}")
    if snapshot.link is Link.LOST:
        age = fmt.ago(scene.age_s)
        return Line("crit_low", "✗ link lost", f"  nothing heard for {age}; trying again. What is shown is as old.")
    if snapshot.state is RunState.PAUSED:
        return Line("warn_low", "‖ paused", _held(scene))
    return None


def _alarm(scene: Scene, alert: Alert, width: int, most: int) -> list[Line]:
    """What was seen in all lines but the last, which says what to do and which keys to press."""
    on: Ink = "crit_low" if alert.severity.label == "critical" else "warn_low"
    since = alert.first_step if alert.first_step is not None else alert.raised_step
    head = f"{SEVERITY[alert.severity]} {alert.rule} since step {fmt.count(since)}"
    seen = wrap(f"{head}: {alert.summary}", width - 2)
    if len(seen) >= most:
        seen[most - 2 :] = [clip(" ".join(seen[most - 2 :]), width - 4)]
    first, *rest = seen
    keys = _keys(scene, alert)
    room = width - 4 - spans_len([(keys, 0)])
    return [
        Line(on, head, first.removeprefix(head)),
        *(Line(on, "", f"  {line}") for line in rest),
        Line(on, "→ ", clip(alert.action, room - 2), keys),
    ]


def _keys(scene: Scene, alert: Alert) -> str:
    offers = [] if scene.refusal else suggested(scene.snapshot, alert)
    return "  ".join(["⏎ look", *(f"d {title(offer)}" for offer in offers[:1]), "a seen"])


def _held(scene: Scene) -> str:
    """Who holds the run, since when, and how it goes on."""
    mark = paused_by(scene.snapshot)
    by = "" if mark is None else f" by {mark.by or 'somebody'} at step {fmt.count(mark.step)}"
    return f"{by}: {scene.refusal or 'press r to resume'}"


def _last_words(snapshot: Snapshot) -> str:
    """The last line of the error, or the signal, or the exit code."""
    goodbye = snapshot.goodbye
    if goodbye is None:
        return ""
    lines = (goodbye.error or goodbye.traceback).strip().splitlines()
    if lines:
        return lines[-1]
    if goodbye.reason == "out-of-memory":
        return "killed for memory by the system"
    if goodbye.signal:
        return f"killed by {goodbye.signal}"
    return f"exit code {goodbye.exit_code}" if goodbye.exit_code is not None else goodbye.reason
