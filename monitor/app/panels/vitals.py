"""One line a quantity: name, newest value, its course over the shown steps, and how it moved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from monitor.app import charts
from monitor.app import format as fmt
from monitor.app.canvas import Canvas, clip
from monitor.app.interventions import rates
from monitor.app.palette import Ink
from monitor.app.panel import ListPanel, matches
from monitor.app.panels.minis import lr_keys
from monitor.app.scene import Scene
from monitor.app.window import Window, trace
from monitor.model import Floats, Snapshot


class Vital(NamedTuple):
    """How a series is shown. ``good`` is the sign of a change for the better, 0 where neither is; ``points``:
    a share, whose change is told in points; ``share_of``: the value is told as a share of that series' newest."""

    key: str
    name: str
    text: Callable[[float], str]
    ink: Ink
    low: Ink
    good: int
    points: bool = False
    share_of: str = ""


def _share(value: float) -> str:
    return fmt.percent(value, 2)


def _number(value: float) -> str:
    return fmt.real(value)


_FIRST = (
    Vital("train/accuracy", "accuracy", _share, "ok", "ok_low", 1, points=True),
    Vital("val/accuracy", "val accuracy", _share, "val", "val_low", 1, points=True),
    Vital("rate/samples_per_s", "samples/s", _number, "train", "train_low", 1),
    Vital("time/step_s", "step time", fmt.span_s, "train", "train_low", -1),
    Vital("time/data_s", "data wait", fmt.percent, "warn", "warn_low", -1, share_of="time/step_s"),
    Vital("memory/allocated_bytes", "gpu memory", fmt.size, "other", "other_low", 0),
    Vital("memory/rss_bytes", "memory", fmt.size, "other", "other_low", 0),
    Vital("amp/scale", "amp scale", _number, "info", "info_low", 0),
    Vital("amp/skipped_total", "amp skipped", _number, "info", "info_low", -1),
)
_GRAD = Vital("grad/norm", "grad norm", _number, "train", "train_low", 0)


class VitalsPanel(ListPanel):
    TITLE = "vitals"
    PERIOD_S = 1.0
    HELP = (
        "The newest value, its course over the steps that the charts show, and the change from the first tenth of "
        "them to the last: green for the better, red for the worse, in points for shares and in percent for the "
        "rest. Your own run.log() values follow. The bottom line says what the probe costs."
    )

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        palette, snapshot = scene.palette, scene.snapshot
        cost: list[tuple[str, int]] = []
        if snapshot.cost_us:
            text = f"probe {fmt.span_s(snapshot.cost_us / 1e6)} a step, {fmt.percent(snapshot.cost_share)}"
            cost = [(clip(text, canvas.width - 8), palette.pen("dim"))]
        dropped = [(f"{fmt.count(snapshot.dropped)} dropped", palette.pen("warn"))] if snapshot.dropped else []
        pattern = self.filter(scene)
        vitals = [vital for vital in _vitals(snapshot, small=not scene.has_minis) if matches(pattern, vital.name)]
        self.items = [vital.key for vital in vitals]
        self.frame(canvas, scene, right=dropped, bottom=[*cost, *self.chosen(scene)])
        if not vitals:
            self.hint(canvas, scene, "no vital signs yet", "they come with the first optimizer.step()")
            return
        window = scene.window(min(max(canvas.width, 1), 200))
        for y, number in enumerate(self.window_of(canvas.height - 2), start=1):
            selected = number == self.index and scene.view.focus == self.id and len(vitals) > canvas.height - 2
            self._row(canvas, scene, y, vitals[number], window, on="selected" if selected else "bg")

    def _row(self, canvas: Canvas, scene: Scene, y: int, vital: Vital, window: Window, *, on: Ink) -> None:
        palette, series = scene.palette, scene.snapshot.series[vital.key]
        width = canvas.width
        name = 12 if width >= 36 else 9
        spark = max(width - name - 10 - 12, 0)
        canvas.put(1, y, " " * (width - 2), palette.pen("text", on=on))
        canvas.put(2, y, clip(vital.name, name), palette.pen("dim", on=on))
        value = series.last
        pen = palette.pen("hi" if math.isfinite(value) else "crit", bold=True, on=on)
        canvas.put_right(3 + name + 8, y, [(clip(_text(vital, scene.snapshot), 8), pen)])
        course = trace(series, window).mean
        x = 3 + name + 10
        text = charts.sparkline(course[np.isfinite(course)], spark)
        canvas.put(x, y, text[:-1], palette.pen(vital.low, on=on))
        canvas.put(x + len(text) - 1, y, text[-1:], palette.pen(vital.ink, on=on))
        change, ink = _change(vital, course)
        canvas.put_right(width - 2, y, [(change, palette.pen(ink, on=on))])


def _vitals(snapshot: Snapshot, *, small: bool) -> Iterator[Vital]:
    """What there is to show, the usual quantities first and then the user's own; ``small``: with what else has a
    chart of its own."""
    wanted = list(_FIRST)
    if small:
        setting = next((rate.setting for rate in rates(snapshot)), "")
        lr = [Vital(key, f"lr {setting}".strip(), _number, "other", "other_low", 0) for key in lr_keys(snapshot)[:1]]
        wanted = [_GRAD, *lr, *wanted]
    yield from (vital for vital in wanted if vital.key in snapshot.series and len(snapshot.series[vital.key]))
    known = {vital.key for vital in (*_FIRST, _GRAD)}
    for key in sorted(snapshot.series):
        if key not in known and key.startswith(("user/", "val/")) and key != "val/loss" and len(snapshot.series[key]):
            name = key.removeprefix("user/").replace("val/", "val ")
            yield Vital(key, name, _number, "info", "info_low", 0)


def _text(vital: Vital, snapshot: Snapshot) -> str:
    value, whole = snapshot.series[vital.key].last, snapshot.series.get(vital.share_of)
    if not vital.share_of:
        return vital.text(value)
    if whole is None or not len(whole) or not whole.last > 0:
        return fmt.span_s(value)
    return vital.text(value / whole.last)


def _change(vital: Vital, course: Floats) -> tuple[str, Ink]:
    """From the first tenth of the course to its last, and whether that is good."""
    finite = course[np.isfinite(course)]
    tenth = max(len(finite) // 10, 1)
    if len(finite) < 2:
        return "", "dim"
    before, now = float(finite[:tenth].mean()), float(finite[-tenth:].mean())
    if vital.points:
        change, text = now - before, fmt.points(now - before, 2 if abs(now - before) < 0.00995 else 1)
        significant = abs(change) >= 0.001
    else:
        change = (now - before) / abs(before) if before else math.nan
        text, significant = fmt.signed_percent(change), abs(change) >= 0.02
    if not math.isfinite(change) or text in ("·", "0.0%"):
        return ("·" if math.isfinite(change) else ""), "dim"
    if not significant or not vital.good:
        return text, "dim"
    return text, "ok" if change * vital.good > 0 else "crit" if vital.points else "warn"
