"""One reversed line: a bad ending, a dead line, a run that somebody holds, or (where no alerts panel is in sight) the
worst alarm."""

from __future__ import annotations

from monitor.app import format as fmt
from monitor.app.canvas import Canvas, clip, spans_len
from monitor.app.glyphs import SEVERITY
from monitor.app.interventions import paused_by
from monitor.app.palette import Ink
from monitor.app.panel import Panel
from monitor.app.scene import Scene
from monitor.model import Alert, Link, RunState, Snapshot


def worst_alarm(snapshot: Snapshot) -> Alert | None:
    """The open alarm that a person should see first; one that is acknowledged or muted is none."""
    alarms = (a for a in snapshot.open_alerts if a.severity.is_alarm and not (a.acknowledged or a.muted))
    return next(alarms, None)


def is_wanted(snapshot: Snapshot, *, alerts_visible: bool) -> bool:
    """Whether there is anything for the banner to say."""
    if snapshot.state in (RunState.FAILED, RunState.VANISHED, RunState.PAUSED) or snapshot.link is Link.LOST:
        return True
    return not alerts_visible and worst_alarm(snapshot) is not None


class BannerPanel(Panel):
    TITLE = "banner"

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        on, head, text = _content(scene)
        palette = scene.palette
        head_pen, pen = palette.pen("hi", bold=True, on=on), palette.pen("hi", on=on)
        enter = " ⏎ " if worst_alarm(scene.snapshot) else ""
        canvas.put(0, 0, " " * canvas.width, pen)
        x = canvas.put(1, 0, clip(head, canvas.width - 2), head_pen)
        canvas.put(x, 0, clip(text, canvas.width - x - 1 - spans_len([(enter, pen)])), pen)
        canvas.put_right(canvas.width, 0, [(enter, head_pen)])


def _content(scene: Scene) -> tuple[Ink, str, str]:
    """The background, the bold beginning and the rest."""
    snapshot = scene.snapshot
    goodbye, step = snapshot.goodbye, fmt.count(snapshot.step)
    if snapshot.state is RunState.FAILED:
        return "crit_low", f"✗ failed at step {step}", f"  {_last_words(snapshot)}"
    if snapshot.state is RunState.VANISHED:
        why = goodbye.error if goodbye and goodbye.error else "killed, out of memory, or the machine went down"
        return "crit_low", "✗ ended without a goodbye", f"  last step {step}: {why}"
    if snapshot.link is Link.LOST:
        age = fmt.ago(scene.age_s)
        return "crit_low", "✗ link lost", f"  nothing heard for {age}; trying again. What is shown is as old."
    if snapshot.state is RunState.PAUSED:
        return "warn_low", "‖ paused", _held(scene)
    alert = worst_alarm(snapshot)
    if alert is None:
        return "bg", "", ""
    on: Ink = "crit_low" if alert.severity.label == "critical" else "warn_low"
    head = f"{SEVERITY[alert.severity]} {alert.rule}"
    return on, head, f" {fmt.ago(scene.alert_age_s(alert))} ago · {alert.summary} → {alert.action}"


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
