"""The loss: raw values as a band, their average, validation with its points, and what happened when."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from monitor.app import charts, compare, plot
from monitor.app import format as fmt
from monitor.app.canvas import Area, Canvas, Span, clip, spans_len
from monitor.app.charts import Scale
from monitor.app.glyphs import MARKS, SEVERITY
from monitor.app.palette import Ink, Palette
from monitor.app.panel import Panel
from monitor.app.scene import Scene
from monitor.app.window import Trace, Window, average, averaged, joined, lost, newest_average, trace
from monitor.model import Floats, SeriesView, Severity, Snapshot

TRAIN = "train/loss"

#: Cells to the left of the plot (frame and labels) and to its right (tags and frame).
LEFT, RIGHT = 7, 8
GUTTERS = LEFT + RIGHT

#: With so many dot columns to a step, a step is a point of its own.
_FEW = 6

SEVERITY_INK: dict[Severity, Ink] = {
    Severity.CRITICAL: "crit",
    Severity.WARNING: "warn",
    Severity.NOTICE: "info",
    Severity.INFO: "dim",
}
_LOW: dict[Ink, Ink] = {"crit": "crit_low", "warn": "warn_low", "info": "info_low", "dim": "faint"}
NO_VALIDATION = "no validation yet: use torch.no_grad(), or run.validation(loss=…)"


class _Curves(NamedTuple):
    """What is drawn: the raw training loss, its average, the validation loss; the newest value of the average; the
    averages of other runs, each with its ink."""

    train: Trace
    mean: Floats
    val: Trace
    newest: float
    others: tuple[tuple[Ink, Floats], ...] = ()

    @property
    def are_empty(self) -> bool:
        return self.train.is_empty and self.val.is_empty


def val_key(snapshot: Snapshot) -> str | None:
    """The series to set beside the training loss: ``val/loss``, or else the first loss-like one of validation."""
    if "val/loss" in snapshot.series:
        return "val/loss"
    return next((key for key in sorted(snapshot.series) if key.startswith("val/") and key != "val/accuracy"), None)


class LossPanel(Panel):
    TITLE = "loss"
    HELP = (
        "The dim band is every value of the training loss, lowest to highest in each column: no spike is hidden. The "
        "bright line is their exponential average over the steps, the points are evaluations, ◂ the newest values. "
        "✗ on the lowest row marks NaN or infinite values, ░ steps whose record was lost, a sign with a dashed line "
        "an alert or a mark. The heavy part of the bottom line is the part of the run that is shown."
    )

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        snapshot, view, palette = scene.snapshot, scene.view, scene.palette
        axis = canvas.height >= 6
        area = Area(LEFT, 1, max(canvas.width - LEFT - RIGHT, 1), max(canvas.height - 2 - axis, 1))
        window = scene.window(2 * area.width)
        curves = self._curves(scene, window)
        scale = self._scale(curves, scene)
        key = val_key(snapshot)
        hint = "" if key or not snapshot.step else NO_VALIDATION
        bottom: list[Span] = [(clip(hint, canvas.width - 8), palette.pen("dim"))] if hint else []
        bottom = _others(scene, canvas.width - 8) or bottom
        left: list[Span] = [(_settings(scene, curves, scale), palette.pen("dim"))]
        room = canvas.width - len(self.TITLE) - spans_len(left) - 11
        numbers = _numbers(scene, curves, room) if view.cross is None else _at_cross(scene, view.cross, room)
        self.frame(canvas, scene, left=left, right=numbers, bottom=bottom)
        if view.range != "all" or view.held:
            self._scroll_bar(canvas, scene, window)
        if curves.are_empty and not curves.train.bad.any():
            self._nothing(canvas, scene)
            return
        self._plot(canvas, scene, area, window, curves, scale)
        if axis:
            for x, text in scene.labels(window, area.width):
                canvas.put(area.x + x, canvas.height - 2, text, palette.pen("dim"))

    def pointed(self, x: int, y: int) -> dict[str, Any]:
        """The crosshair to the step under the mouse."""
        cells = self.size.width - GUTTERS
        if self.scene is None or not 1 <= y < self.size.height - 1 or not 0 <= x - LEFT < cells:
            return {}
        first, last = self.scene.steps
        step = self.scene.window(2 * cells).step_at(2 * (x - LEFT))
        return {"cross": min(max(int(step), first), last)}

    def _curves(self, scene: Scene, window: Window) -> _Curves:
        series = scene.snapshot.series
        loss, smoothing = series.get(TRAIN), scene.view.smoothing
        key = val_key(scene.snapshot)
        val = trace(series.get(key) if key else None, window)
        newest = newest_average(loss, smoothing) if loss is not None and len(loss) else math.nan
        train, mean = averaged(loss, window, smoothing)
        others = tuple(
            (
                other.ink,
                average(compare.aligned(scene.snapshot, other.snapshot, scene.view.x_axis, TRAIN, window), wide),
            )
            for other in scene.others
            for wide in (smoothing**window.width,)
        )
        return _Curves(train, mean, val, newest, others)

    def _scale(self, curves: _Curves, scene: Scene) -> Scale:
        raw = np.concatenate([curves.train.low, curves.train.high])
        # The raw values may stick out beyond these quantiles: one spike would flatten all the rest.
        wholly = [curves.mean, curves.val.mean, *(means for _, means in curves.others)]
        return charts.scale_for([raw, *wholly], log=scene.view.log, quantiles=(0.02, 0.97))

    def _plot(self, canvas: Canvas, scene: Scene, area: Area, window: Window, curves: _Curves, scale: Scale) -> None:
        palette = scene.palette
        train, val = curves.train, curves.val
        broken = train.bad | lost(scene.snapshot.gaps, window)
        if not curves.are_empty:
            plot.grid(canvas, area, scale, palette.pen("grid"), palette.pen("dim"))
        plot.gaps(canvas, area, window, scene.snapshot.gaps, palette.pen("faint"))
        for ink, means in curves.others:
            plot.curve(canvas, area, scale, joined(means, np.zeros(len(means), bool)), palette.pen(ink))
        plot.band(canvas, area, scale, train.low, train.high, joined(train.mean, broken), palette.pen("train_low"))
        if not val.is_empty:
            plot.curve(canvas, area, scale, joined(val.mean, val.bad), palette.pen("val"))
        plot.curve(canvas, area, scale, joined(curves.mean, broken), palette.pen("train"))
        if window.stretch >= _FEW:
            plot.points(canvas, area, scale, curves.mean, palette.pen("train"))
        if not val.is_empty:
            plot.points(canvas, area, scale, val.mean, palette.pen("val"))
        plot.events(canvas, area, window, _events(scene))
        plot.crosshair(canvas, area, window, scene.view.cross, palette.pen("hi"))
        plot.bad_values(canvas, area, train.bad | val.bad, palette.pen("crit", bold=True))
        plot.tags(canvas, area, scale, _tags(palette, curves, held=scene.view.held is not None))
        if curves.are_empty:
            self._only_bad(canvas, scene, area)

    def _only_bad(self, canvas: Canvas, scene: Scene, area: Area) -> None:
        series = scene.snapshot.series.get(TRAIN)
        n, first = (len(series), series.first_step) if series else (0, 0)
        text = f"all {fmt.count(n)} values of the loss since step {fmt.count(first)} are NaN or infinite"
        if scene.view.held or scene.view.range != "all":
            text = "every value of the loss in this range is NaN or infinite"
        text = clip(text, area.width)
        x, y = area.x + (area.width - len(text)) // 2, area.y + area.height // 2
        canvas.put(x, y, text, scene.palette.pen("crit", bold=True))

    def _nothing(self, canvas: Canvas, scene: Scene) -> None:
        snapshot = scene.snapshot
        if not snapshot.step:
            how = "A step is one optimizer.step(); the first one draws the first point."
            self.hint(canvas, scene, "waiting for the first step", how)
            return
        hidden = str(snapshot.facts.get("hidden") or "")
        how = "It is taken where backward() starts. Name it: probe.attach(model, optimizer, criterion)."
        self.hint(canvas, scene, "no loss seen yet", f"{hidden} {how}".strip())

    def _scroll_bar(self, canvas: Canvas, scene: Scene, window: Window) -> None:
        """The visible part of the run, as the heavy part of the bottom line."""
        first, last = scene.steps
        room, total = canvas.width - 2, max(last - first + 1, 1)
        a = min(max(round((window.start - first) / total * room), 0), room - 1)
        b = min(max(round((min(window.last, last) + 1 - first) / total * room), a + 1), room)
        canvas.put(1 + a, canvas.height - 1, "━" * (b - a), scene.palette.pen("train", bold=True))


def _settings(scene: Scene, curves: _Curves, scale: Scale) -> str:
    view = scene.view
    kind = "log" if view.log else "linear"
    if view.log and not scale.log and not curves.are_empty:
        kind = "linear (log needs positive values)"
    ema = f" ema {view.smoothing:.2f}".replace("0.", ".") if view.smoothing else ""
    shown = " held" if view.held else "" if view.range == "all" else f" {view.range}"
    return f"{kind}{ema}{shown}"


def _numbers(scene: Scene, curves: _Curves, room: int) -> Sequence[Span]:
    """The newest values and how they move, as much of it as there is room for."""
    palette, series = scene.palette, scene.snapshot.series
    key = val_key(scene.snapshot)
    train, val = _last(series.get(TRAIN)), _last(series.get(key) if key else None)
    shown = curves.newest if train is not None and math.isfinite(train) else train
    hi, dim = palette.pen("hi", bold=True), palette.pen("dim")
    bad = palette.pen("crit", bold=True)
    first: list[Span] = [("train ", palette.pen("train")), (_loss(shown), hi if _is_fine(train) else bad)]
    second: list[Span] = [("  val ", palette.pen("val")), (_loss(val), hi if _is_fine(val) else bad)]
    gap: list[Span] = []
    if val is not None and shown is not None and math.isfinite(val) and math.isfinite(shown):
        gap = [("  gap ", dim), (fmt.signed(val - shown), hi)]
    change = _change(curves.mean) if _is_fine(train) else math.nan
    moved_train, moved_val = _moved(palette, change), _moved(palette, _val_change(series, key))
    variants = (
        [*first, *moved_train, *second, *moved_val, *gap],
        [*first, *second, *gap],
        [*first, *second],
        first,
    )
    return next((spans for spans in variants if spans_len(spans) <= room), [])


def _at_cross(scene: Scene, step: int, room: int) -> Sequence[Span]:
    """The values at the crosshair: of that step, of validation the newest then, and when it was."""
    palette, series = scene.palette, scene.snapshot.series
    dim, hi = palette.pen("dim"), palette.pen("hi", bold=True)
    spans: list[Span] = [("step ", dim), (fmt.count(step), hi)]
    elapsed_s = scene.elapsed_at(step)
    if elapsed_s is not None:
        spans.append((f" {fmt.duration(elapsed_s)}", dim))
    variants = [spans]
    for name, key, ink in (("train", TRAIN, "train"), ("val", val_key(scene.snapshot), "val")):
        value = value_at(series.get(key) if key else None, step, exact=name == "train")
        if value is not None:
            pen = hi if math.isfinite(value) else palette.pen("crit", bold=True)
            spans = [*spans, (f"  {name} ", palette.pen(ink)), (_loss(value), pen)]  # type: ignore[arg-type]
            variants.append(spans)
    return next((spans for spans in reversed(variants) if spans_len(spans) <= room), [])


def value_at(series: SeriesView | None, step: int, *, exact: bool = True) -> float | None:
    """The value of a step; unless ``exact`` the newest one then."""
    if series is None or not len(series):
        return None
    _, values = series.between(step if exact else series.first_step, step)
    return float(values[-1]) if len(values) else None


def _others(scene: Scene, room: int) -> list[Span]:
    """The other runs in their inks, and how far ahead of them this one is; as many as there is room for."""
    spans: list[Span] = []
    for other in scene.others:
        text = compare.lead(scene.snapshot, other, TRAIN, scene.view.smoothing) or other.name
        more: list[Span] = [("  ━ ", scene.palette.pen(other.ink)), (text, scene.palette.pen("text"))]
        spans += more if spans_len([*spans, *more]) <= room else []
    return spans


def _loss(value: float | None) -> str:
    return fmt.NONE if value is None else fmt.loss(value)


def _is_fine(value: float | None) -> bool:
    return value is None or math.isfinite(value)


def _last(series: SeriesView | None) -> float | None:
    return series.last if series is not None and len(series) else None


def _change(values: Floats) -> float:
    """How far the newest value is from the one a tenth of the chart before it, as a share of that one."""
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return math.nan
    before = float(finite[-1 - max(len(finite) // 10, 1)])
    return (float(finite[-1]) - before) / abs(before) if before else math.nan


def _val_change(series: Mapping[str, SeriesView], key: str | None) -> float:
    view = series.get(key) if key else None
    if view is None or len(view) < 2:
        return math.nan
    _, values = view.tail(2)
    before, now = float(values[0]), float(values[1])
    return (now - before) / abs(before) if before and math.isfinite(before) and math.isfinite(now) else math.nan


def _moved(palette: Palette, change: float) -> list[Span]:
    """A falling loss is good."""
    if not math.isfinite(change) or abs(change) < 5e-4:
        return []
    sign, ink = ("▲", "crit") if change > 0 else ("▼", "ok")
    text = f"{100 * abs(change):.1f}%" if abs(change) < 9.995 else f"×{1 + abs(change):.0f}"
    return [(f" {sign}{text}", palette.pen("crit" if ink == "crit" else "ok"))]


def _tags(palette: Palette, curves: _Curves, *, held: bool) -> Iterator[tuple[float, str, int]]:
    mean, val = (values[np.isfinite(values)] for values in (curves.mean, curves.val.mean))
    if len(mean):
        newest = float(mean[-1]) if held else curves.newest
        yield newest, _tag(newest), palette.pen("train", bold=True)
    if len(val):
        yield float(val[-1]), _tag(float(val[-1])), palette.pen("val", bold=True)


def _tag(value: float) -> str:
    return fmt.real(value, 4 if abs(value) >= 1 else 3)[: RIGHT - 2]


def interventions(scene: Scene) -> Iterator[plot.Event]:
    """What commands did, for every chart."""
    for mark in scene.snapshot.marks:
        if mark.kind == "command":
            sign = MARKS["command"]
            yield plot.Event(mark.step, sign, scene.palette.pen("other", bold=True), scene.palette.pen("faint"))


def _events(scene: Scene) -> Iterator[plot.Event]:
    """Epochs and marks first, then alerts, the worst last: it wins a shared cell."""
    palette, snapshot = scene.palette, scene.snapshot
    epochs = [mark for mark in snapshot.marks if mark.kind == "epoch"]
    faint = palette.pen("faint")
    for mark in epochs if len(epochs) <= 12 else ():
        yield plot.Event(mark.step, "", faint, faint)
    for mark in snapshot.marks:
        if mark.kind in MARKS:
            yield plot.Event(mark.step, MARKS[mark.kind], palette.pen("other", bold=True), faint)
    for alert in sorted(snapshot.alerts, key=lambda a: (a.is_open, a.severity, a.raised_step)):
        if alert.muted:
            continue
        ink = SEVERITY_INK[alert.severity] if alert.is_open and not alert.acknowledged else "dim"
        step = alert.first_step if alert.first_step is not None else alert.raised_step
        yield plot.Event(step, SEVERITY[alert.severity], palette.pen(ink, bold=True), palette.pen(_LOW[ink]))
