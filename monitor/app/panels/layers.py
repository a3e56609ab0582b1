"""Where in the model: one line a layer, those that an open alert names first."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from monitor.app import charts
from monitor.app import format as fmt
from monitor.app.canvas import Canvas, clip, clip_left
from monitor.app.glyphs import SEVERITY
from monitor.app.palette import Ink
from monitor.app.panel import ListPanel, matches
from monitor.app.panels.loss import SEVERITY_INK
from monitor.app.scene import Scene
from monitor.model import LayerTable, Severity, Snapshot

#: The ends of the track of the update ratio, and the healthy zone on it.
TRACK = (1e-5, 1e-1)
HEALTHY = (3e-4, 3e-3)

_SPARK_LOW: dict[Severity | None, tuple[Ink, Ink]] = {
    Severity.CRITICAL: ("crit_low", "crit"),
    Severity.WARNING: ("warn_low", "warn"),
    Severity.NOTICE: ("info_low", "info"),
    Severity.INFO: ("neutral_low", "dim"),
    None: ("neutral_low", "dim"),
}


class _Columns(NamedTuple):
    """Where each column begins; -1 where there is no room for it."""

    name: int
    weight: int
    grad: int
    track: int
    track_width: int
    act: int
    dead: int
    spark: int
    spark_width: int


class LayersPanel(ListPanel):
    TITLE = "layers"
    PERIOD_S = 2.0
    FIRST_ROW = 2
    SORTS = ("flagged first", "largest ‖g‖", "largest Δw/w", "most dead", "by name")
    HELP = (
        "One line a layer, those named by an open alert first. ‖w‖ and ‖g‖: the norms of its weights and gradients. "
        "Δw/w: how far a step moves the weights, on a log track from 1e-5 to 1e-1; the thick part is the healthy "
        "zone. act σ: the spread of its outputs. dead: the share of its units that never fire. The last column is "
        "‖g‖ over the newest samples. These come every few steps (probe.attach(every=...))."
    )

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        palette, table = scene.palette, scene.snapshot.layers
        flags = flagged(scene.snapshot)
        order = self._order(scene, flags)
        self.items = order
        n = sum(layer.name in flags for layer in table.layers)
        total = f"of {fmt.count(len(order))}" if n else fmt.count(len(order))
        right = [(f"{n} flagged ", palette.pen("warn", bold=True))] if n else []
        right += [(total, palette.pen("dim"))] if order else []
        rows = max(canvas.height - 3, 0)
        shown = self.window_of(rows)
        bottom = [(_place(shown, len(order)), palette.pen("dim"))] if len(order) > len(shown) else []
        bottom += self.chosen(scene)
        self.frame(canvas, scene, right=right, bottom=bottom)
        if not table.latest:
            how = "they come every few steps, from hooks on the modules that own parameters"
            self.hint(canvas, scene, "no layer statistics yet", how)
            return
        columns = _columns(canvas.width, max((len(layer.name) for layer in table.layers), default=0))
        _heads(canvas, scene, columns)
        for y, item in enumerate(shown, start=2):
            index = order[item]
            on = self.cursor is not None and item == self.index and scene.view.focus == self.id
            on = on or table.layers[index].name in scene.view.blamed
            flag = flags.get(table.layers[index].name)
            _row(canvas, scene, y, columns, table, index, flag, "selected" if on else "bg")

    def _order(self, scene: Scene, flags: dict[str, Severity]) -> list[int]:
        """The layers that pass the filter, in the order chosen; those that the alert gone to names come first."""
        table, blamed, pattern = scene.snapshot.layers, scene.view.blamed, self.filter(scene)
        names = [layer.name for layer in table.layers]
        stat = {"largest ‖g‖": "grad_norm", "largest Δw/w": "update_ratio", "most dead": "dead_frac"}
        by = self.sort(scene)

        def key(i: int) -> tuple[bool, float, str]:
            value = _value(table, stat[by], i) if by in stat else float(flags.get(names[i], -1))
            return (
                names[i] not in blamed,
                0.0 if by == "by name" else -value if math.isfinite(value) else math.inf,
                names[i] if by == "by name" else "",
            )

        return sorted((i for i in range(len(names)) if matches(pattern, names[i])), key=key)


def _place(shown: range, total: int) -> str:
    return f"{shown.start + 1}–{shown.stop} of {fmt.count(total)}"


def flagged(snapshot: Snapshot) -> dict[str, Severity]:
    """The layers that open alerts name, each with the worst severity."""
    flags: dict[str, Severity] = {}
    for alert in reversed(snapshot.open_alerts):
        if not alert.muted:
            flags.update(dict.fromkeys(alert.where, alert.severity))
    return flags


def _columns(width: int, longest: int) -> _Columns:
    """Columns from the right: the track always, the others as the width allows; ‖w‖ gives way to a long name."""
    wide = width >= 66
    spark_width = min(max(width - longest - 54, 10), 36) if wide else 0
    right = width - 2
    spark = right - spark_width if wide else -1
    dead = spark - 8 if wide else -1
    act = dead - 7 if wide else -1
    track_width = 12 if wide else 9
    track = (act - 2 if wide else right) - track_width
    grad = track - 8
    weight = grad - 8 if wide and 4 + longest <= grad - 8 else -1
    return _Columns(4, weight, grad, track, track_width, act, dead, spark, spark_width)


def _heads(canvas: Canvas, scene: Scene, c: _Columns) -> None:
    dim, faint = scene.palette.pen("dim"), scene.palette.pen("faint")
    canvas.put(c.name, 1, "layer", dim)
    canvas.put_right(c.grad + 7, 1, [("‖g‖", dim)])
    if c.spark < 0:
        canvas.put(c.track + 2, 1, "Δw/w", dim)
        return
    if c.weight >= 0:
        canvas.put_right(c.weight + 7, 1, [("‖w‖", dim)])
    canvas.put(c.track, 1, "-5", faint)
    canvas.put(c.track + 4, 1, "Δw/w", dim)
    canvas.put(c.track + c.track_width - 2, 1, "-1", faint)
    canvas.put_right(c.act + 6, 1, [("act σ", dim)])
    canvas.put_right(c.dead + 6, 1, [("dead", dim)])
    canvas.put(c.spark, 1, clip("‖g‖ recent", c.spark_width), dim)


def _row(
    canvas: Canvas, scene: Scene, y: int, c: _Columns, table: LayerTable, index: int, flag: Severity | None, on: Ink
) -> None:
    palette = scene.palette
    canvas.put(1, y, " " * (canvas.width - 2), palette.pen("text", on=on))
    if flag is not None:
        canvas.put(2, y, SEVERITY[flag], palette.pen(SEVERITY_INK[flag], bold=True, on=on))
    room = (c.weight if c.weight >= 0 else c.grad) - c.name
    name = palette.pen("hi" if flag is not None else "text", bold=flag is not None, on=on)
    canvas.put(c.name, y, clip_left(table.layers[index].name, room), name)
    _number(canvas, scene, c.grad + 7, y, table, "grad_norm", index, on)
    _track(canvas, scene, c.track, y, c.track_width, table, index, on)
    if c.spark < 0:
        return
    if c.weight >= 0:
        _number(canvas, scene, c.weight + 7, y, table, "weight_norm", index, on)
    _number(canvas, scene, c.act + 6, y, table, "act_std", index, on)
    dead = _value(table, "dead_frac", index)
    text = "·" if not dead > 0 else fmt.percent(dead)
    canvas.put_right(c.dead + 6, y, [(text, palette.pen("warn" if dead > 0.3 else "dim", bold=dead > 0.3, on=on))])
    recent = table.recent.get("grad_norm")
    if recent is not None and len(recent):
        spark = charts.sparkline(recent[-c.spark_width :, index], c.spark_width)
        low, high = _SPARK_LOW[flag]
        canvas.put(c.spark, y, spark[:-1], palette.pen(low, on=on))
        canvas.put(c.spark + len(spark) - 1, y, spark[-1:], palette.pen(high, on=on))


def _value(table: LayerTable, stat: str, index: int) -> float:
    values = table.latest.get(stat)
    return float(values[index]) if values is not None and index < len(values) else math.nan


def _is_measured(table: LayerTable, stat: str, index: int) -> bool:
    """Whether the newest report has this statistic of this layer, be it NaN."""
    measured = table.measured.get(stat)
    return not math.isnan(_value(table, stat, index)) or (measured is not None and bool(measured[index]))


def _number(
    canvas: Canvas, scene: Scene, right: int, y: int, table: LayerTable, stat: str, index: int, on: Ink
) -> None:
    """A value of at most 7 cells, red if it is NaN or infinite; a dot where a layer has none."""
    value, measured = _value(table, stat, index), _is_measured(table, stat, index)
    ink: Ink = "dim" if not measured else "text" if math.isfinite(value) else "crit"
    text = fmt.real(value, 3) if measured else "·"
    canvas.put_right(right, y, [(text, scene.palette.pen(ink, bold=ink == "crit", on=on))])


def _track(canvas: Canvas, scene: Scene, x: int, y: int, width: int, table: LayerTable, index: int, on: Ink) -> None:
    """The log track with its healthy zone, and the value as a dot in the colour of where it is; ✗ if it is none."""
    palette, value = scene.palette, _value(table, "update_ratio", index)
    if _is_measured(table, "update_ratio", index) and not math.isfinite(value):
        canvas.put(x, y, "─" * width, palette.pen("crit_low", on=on))
        canvas.put_right(x + width, y, [(f" {fmt.real(value)} ✗", palette.pen("crit", bold=True, on=on))])
        return
    canvas.put(x, y, "─" * width, palette.pen("frame", on=on))
    a, b = (charts.log_track(end, width, *TRACK) or 0 for end in HEALTHY)
    canvas.put(x + a, y, "━" * (b - a + 1), palette.pen("ok_low", on=on))
    at = charts.log_track(value, width, *TRACK)
    if at is None:
        return
    off = np.log10(value / HEALTHY[0]) if value < HEALTHY[0] else np.log10(max(value / HEALTHY[1], 1.0))
    ink: Ink = "ok" if off == 0 else "warn" if abs(off) >= 1 else "info" if abs(off) > 0.5 else "ok"
    canvas.put(x + at, y, "●", palette.pen(ink, bold=True, on=on))
