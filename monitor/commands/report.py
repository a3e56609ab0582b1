"""A run on paper: what it is, how it stands, its alerts, and two charts; for terminals, pipes and CI logs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import numpy as np

from monitor.app import format as fmt
from monitor.app.charts import Scale, scale_for
from monitor.app.glyphs import SEVERITY, STATE
from monitor.app.panel import wrap
from monitor.app.window import fit, trace
from monitor.feeds.imports.text import flat
from monitor.model import Floats, SeriesView, Snapshot
from monitor.tail import printable

#: Lines of a chart.
_HEIGHT: Final = 14
#: The charts, if their series are there: the first is the one that is drawn as a line.
_CHARTS: Final = (("loss", ("train/loss", "val/loss")), ("gradient norm", ("grad/norm",)))


def report(snapshot: Snapshot, width: int, *, colors: bool = False) -> str:
    """The whole report, in lines of at most ``width`` cells."""
    parts = [*_head(snapshot), *_config(snapshot, width), "", *_numbers(snapshot), "", *_alerts(snapshot, width)]
    for title, keys in _CHARTS:
        parts += chart(title, [(key, snapshot.series[key]) for key in keys if key in snapshot.series], width, colors)
    return "\n".join([*parts, *_marks(snapshot)])


def _head(snapshot: Snapshot) -> Iterator[str]:
    hello = snapshot.hello
    glyph, word, _ = STATE[snapshot.state]
    if hello is None:
        yield f"{glyph} {word.lower()}: no run yet"
        return
    total = f" of {fmt.count(snapshot.total_steps)}" if snapshot.total_steps else ""
    started = datetime.fromtimestamp(hello.started_s).astimezone()
    yield printable(f"{glyph} {hello.name} ({hello.run_id}): {word.lower()}")
    yield printable(f"  {hello.model}, {hello.optimizer} on {hello.device or 'an unknown device'}, {hello.host}")
    took = fmt.duration(snapshot.elapsed_s)
    yield f"  step {fmt.count(snapshot.step)}{total}, {took} since {started:%Y-%m-%d %H:%M}"
    if snapshot.goodbye is not None and snapshot.goodbye.error:
        yield f"  {printable(snapshot.goodbye.error)}"


def _config(snapshot: Snapshot, width: int) -> Iterator[str]:
    """What ``attach(config=...)`` was given."""
    hello = snapshot.hello
    if hello is not None and hello.run_id and hello.config:  # a log of another tool has none of its own
        pairs = "  ".join(f"{name}={value}" for name, value in flat(hello.config))
        yield from (f"  {line}" for line in wrap(printable(pairs), width - 2))


def _numbers(snapshot: Snapshot) -> Iterator[str]:
    """The newest value of each quantity, and the best one of those that are judged."""
    best = {"train/loss": np.nanmin, "val/loss": np.nanmin, "train/accuracy": np.nanmax, "val/accuracy": np.nanmax}
    for key, series in sorted(snapshot.series.items()):
        if not len(series) or not key.startswith(
            ("train/", "val/", "grad/norm", "lr/", "time/step_s", "rate/", "user/")
        ):
            continue
        text = f"  {printable(key):24} {fmt.real(series.last, 5):>10}"
        steps, values = series.between(series.first_step, series.last_step)
        if key in best and np.isfinite(values).any():
            value = float(best[key](np.where(np.isfinite(values), values, np.nan)))
            text += (
                f"   best {fmt.real(value, 5)} at step {fmt.count(int(steps[np.flatnonzero(values == value)[0]]))}"
            )
        yield text


def _alerts(snapshot: Snapshot, width: int) -> Iterator[str]:
    if not snapshot.alerts:
        yield "no alerts"
    for alert in sorted(snapshot.alerts, key=lambda a: (not a.is_open, -a.severity, a.raised_step)):
        since = alert.first_step if alert.first_step is not None else alert.raised_step
        until = "" if alert.resolved_step is None else f", resolved at {fmt.count(alert.resolved_step)}"
        where = f" in {', '.join(alert.where)}" if alert.where else ""
        yield printable(f"{SEVERITY[alert.severity]} {alert.rule}{where}, since step {fmt.count(since)}{until}")
        yield from (f"    {line}" for line in wrap(printable(alert.summary), width - 4))
        for number, line in enumerate(wrap(printable(alert.action), width - 4)):
            yield f"{'    ' if number else '  → '}{line}"


def _marks(snapshot: Snapshot) -> Iterator[str]:
    marks = [mark for mark in snapshot.marks if mark.kind in ("user", "command", "resume")]
    if marks:
        yield ""
    for mark in marks:
        by = f" by {mark.by}" if mark.by else ""
        yield printable(f"step {fmt.count(mark.step)}: {mark.text}{by}")


def chart(title: str, series: list[tuple[str, SeriesView]], width: int, colors: bool) -> list[str]:
    """A chart of these series by plotext, on a log scale if all values are positive; none if there is no value.

    plotext ends the whole process at a NaN: so only finite values are drawn, and the others are counted.
    """
    views = [(key, view) for key, view in series if len(view)]
    drawn = [(key, *_points(view, 2 * width)) for key, view in views]
    drawn = [(key, steps, values) for key, steps, values in drawn if len(values)]
    bad = sum(int((~np.isfinite(view.between(view.first_step, view.last_step)[1])).sum()) for _, view in views)
    left_out = [f"  {fmt.count(bad)} values are NaN or infinite and are not drawn"] if bad else []
    if not drawn:
        return ["", f"{title}: no finite value", *left_out] if views else []
    return ["", *_plotted(title, drawn, width, colors), *left_out]


def _plotted(title: str, drawn: list[tuple[str, list[int], Floats]], width: int, colors: bool) -> list[str]:
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, _HEIGHT)
    signs = [f"{'•' if key.startswith('val/') else '⠶'} {key}" for key, _, _ in drawn]
    figure.title(f"{title}: {'  '.join(signs)}")
    scale = scale_for([values for _, _, values in drawn], log=True)
    for key, steps, values in drawn:
        # Logarithms on a linear ruler: plotext's own log ruler writes 1e-8 as 0.0000000.
        heights = np.log10(values) if scale.log else values
        signal = figure.signal(steps, heights.tolist(), marker="dot" if key.startswith("val/") else "braille")
        signal.lines(not key.startswith("val/"))
        figure.draw(signal)
    ends = [step for _, steps, _ in drawn for step in (steps[0], steps[-1])]
    _ticks(figure.ruler("x"), [(x, fmt.short(x)) for x, _ in Scale(min(ends), max(ends)).ticks(6)])
    _ticks(figure.ruler("y"), [(math.log10(y) if scale.log else y, label) for y, label in scale.ticks(5)])
    lines: list[str] = figure.build().string(colorless=not colors).splitlines()
    return [line.rstrip() for line in lines]


def _ticks(ruler: Any, wanted: list[tuple[float, str]]) -> None:
    if wanted:
        ruler.ticks([at for at, _ in wanted], [label for _, label in wanted])


def _points(view: SeriesView, columns: int) -> tuple[list[int], Floats]:
    """At most two points a column, its lowest and its highest value: a spike of one step is never left out."""
    window = fit(view.first_step, view.last_step, max(columns, 2))
    data = trace(view, window)
    at = [window.step_at(column) for column in np.flatnonzero(np.isfinite(data.low)).tolist()]
    steps = [math.floor(step) for step in at for _ in range(2)]
    ends = np.stack([data.low, data.high], axis=1)[np.isfinite(data.low)]
    values: Floats = ends.ravel()
    return steps, values
