"""The two lines on top: is it alive, what is it, how far is it, and is anything wrong."""

from __future__ import annotations

import math
from collections import Counter

from monitor.app import charts
from monitor.app import format as fmt
from monitor.app.canvas import Canvas, Span, clip, spans_len
from monitor.app.glyphs import SEVERITY, STATE
from monitor.app.palette import Palette
from monitor.app.panel import Panel
from monitor.app.panels.loss import SEVERITY_INK
from monitor.app.scene import Scene
from monitor.model import Link, RunState, Severity, Snapshot


class HeaderPanel(Panel):
    TITLE = "header"

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        right = _right(scene, wide=canvas.width >= 100)
        x = canvas.put_right(canvas.width - 1, 0, right)
        _left(canvas, scene, x - 2)
        if canvas.height > 1:
            _progress(canvas, scene)


def _left(canvas: Canvas, scene: Scene, stop: int) -> None:
    """The state as a pill, the run's name, its model, and in dim where it runs; cut off at ``stop``."""
    palette, snapshot = scene.palette, scene.snapshot
    state = RunState.STALLED if scene.silence == "silent" and snapshot.link is Link.LIVE else snapshot.state
    glyph, word, ink = STATE[state]
    x = canvas.put(0, 0, f" {glyph} {word} ", palette.pen("bg", bold=True, on=ink)) + 1
    hello = snapshot.hello
    if hello is None:
        canvas.put(x, 0, clip(snapshot.source, stop - x), palette.pen("text"))
        return
    x = canvas.put(x, 0, clip(hello.name or hello.run_id, stop - x), palette.pen("hi", bold=True)) + 1
    x = canvas.put(x, 0, clip(hello.model, stop - x), palette.pen("text"))
    where = " · ".join(part for part in (hello.device, _ranks(hello.world_size), hello.host) if part)
    if stop - x > 8:
        canvas.put(x + 3, 0, clip(where, stop - x - 3), palette.pen("dim"))


def _ranks(world_size: int) -> str:
    return f"{world_size} ranks" if world_size > 1 else ""


def _right(scene: Scene, *, wide: bool) -> list[Span]:
    """The link and the age of the data, the open alerts, the clock."""
    palette = scene.palette
    spans = [_link(scene)]
    counts = Counter(alert.severity for alert in scene.snapshot.open_alerts if not alert.muted)
    for severity in sorted(Severity, reverse=True):
        if counts[severity] and severity is not Severity.INFO:
            pen = palette.pen(SEVERITY_INK[severity], bold=True)
            spans += [(f"  {SEVERITY[severity]} {counts[severity]}", pen)]
    if wide and scene.wall is not None and scene.is_ticking:
        spans.append((f"   {scene.wall:%H:%M:%S}", palette.pen("dim")))
    return spans


def _link(scene: Scene) -> Span:
    palette, snapshot = scene.palette, scene.snapshot
    age = fmt.ago(scene.age_s) if scene.age_s >= 1 else "<1s"
    if snapshot.link is Link.FILE:
        return ("▪ from file", palette.pen("dim"))
    if snapshot.state.is_over:
        ended = "" if snapshot.goodbye is None else f" {fmt.clock(snapshot.goodbye.time_s)}"
        return (f"ended{ended}", palette.pen("dim"))
    if snapshot.link is Link.LOST:
        return (f"✗ link lost {age}", palette.pen("crit", bold=True))
    if snapshot.link is Link.CONNECTING:
        return ("⇣ connecting", palette.pen("dim"))
    if snapshot.link is Link.LOADING:
        return (f"⇣ loading {fmt.percent(snapshot.loaded, 0)}", palette.pen("train"))
    if snapshot.state is RunState.STALLED:
        return (f"✗ stalled {fmt.ago(scene.stalled_s)}", palette.pen("crit", bold=True))
    if scene.silence == "silent":
        return (f"✗ silent {age}", palette.pen("crit", bold=True))
    if scene.silence == "late":
        return (f"▲ last {age} ago", palette.pen("warn", bold=True))
    return (f"⇣ live {age:>3}", palette.pen("ok"))


# ------------------------------------------------------------------------------------------------- the second line


def _progress(canvas: Canvas, scene: Scene) -> None:
    palette, snapshot = scene.palette, scene.snapshot
    if not snapshot.step and not snapshot.state.is_over:
        canvas.put(1, 1, clip(_waiting(snapshot), canvas.width - 2), palette.pen("dim"))
        return
    x = _position(canvas, palette, snapshot)
    right = _pace(palette, snapshot, canvas.width - x - 12)
    stop = canvas.put_right(canvas.width - 1, 1, right) - 2
    share = _share(snapshot)
    if share is not None and stop - x >= 8:
        full, rest = charts.meter(share, stop - x)
        canvas.put(canvas.put(x, 1, full, palette.pen("train")), 1, rest, palette.pen("frame"))


def _waiting(snapshot: Snapshot) -> str:
    if snapshot.link is Link.LOADING:
        return f"loading the history: {fmt.percent(snapshot.loaded, 0)}"
    if snapshot.hello is None:
        return "waiting for a run: in the training script, import probe; probe.attach(model, optimizer)"
    return "waiting for the first step"


def _position(canvas: Canvas, palette: Palette, snapshot: Snapshot) -> int:
    """Step, total and epoch; returns the cell after them."""
    x = canvas.put(1, 1, f"step {fmt.count(snapshot.step)}", palette.pen("hi", bold=True))
    if snapshot.total_steps:
        x = canvas.put(x, 1, f" / {fmt.short(snapshot.total_steps)}", palette.pen("dim"))
    elif snapshot.epoch is not None:
        x = canvas.put(x, 1, f" · epoch {snapshot.epoch:g}", palette.pen("dim"))
    return x + 1


def _share(snapshot: Snapshot) -> float | None:
    """How far the run is, if it is known; while the history loads, how far that is."""
    if snapshot.link is Link.LOADING:
        return snapshot.loaded
    return min(snapshot.step / snapshot.total_steps, 1.0) if snapshot.total_steps else None


def _left_s(snapshot: Snapshot) -> float | None:
    """The time to the last step at the pace so far, evaluations and checkpoints included; None if not known."""
    first = snapshot.hello.first_step if snapshot.hello else 0
    if not snapshot.total_steps or snapshot.step <= first or snapshot.state.is_over:
        return None
    return max(snapshot.total_steps - snapshot.step, 0) * snapshot.elapsed_s / (snapshot.step - first)


def _pace(palette: Palette, snapshot: Snapshot, room: int) -> list[Span]:
    """Percent, elapsed and left, samples a second; less of it where it is narrow."""
    hi, dim, text = palette.pen("hi", bold=True), palette.pen("dim"), palette.pen("text")
    share = _share(snapshot)
    if snapshot.link is Link.LOADING:
        return [(f" {fmt.percent(snapshot.loaded, 0)}", hi), (" of the history", dim)]
    percent: list[Span] = [(f" {fmt.percent(share)}", hi)] if share is not None else []
    elapsed: list[Span] = [(f"  {fmt.duration(snapshot.elapsed_s)}", dim)]
    left_s = _left_s(snapshot)
    left: list[Span] = [] if left_s is None else [(f"{fmt.duration(left_s)} left", text)]
    rate: list[Span] = []
    series = snapshot.series.get("rate/samples_per_s")
    if series is not None and len(series) and math.isfinite(series.last) and not snapshot.state.is_over:
        rate = [(f"  {fmt.real(series.last, 4)}", hi), (" samples/s", dim)]
    arrow: list[Span] = [(" → ", dim)] if left else []
    variants = ([*percent, *elapsed, *arrow, *left, *rate], [*percent, ("  ", dim), *left, *rate], [*percent, *rate])
    return next((spans for spans in variants if spans_len(spans) <= room), percent)
