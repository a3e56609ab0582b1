"""A run as lines of text, one an event: for pipes, logs, and terminals that are no terminals."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator

from monitor.feeds import Ahead, Event, LinkChanged
from monitor.history import HIDDEN, History
from monitor.model import Alert, Goodbye, Hello, Link, Mark, Severity
from monitor.rows import column_of, steps_of, times_of
from probe.wire import Batch, Message, Notice

GLYPHS = {Severity.CRITICAL: "✗", Severity.WARNING: "▲", Severity.NOTICE: "●", Severity.INFO: "○"}
#: Without evaluations a line of training numbers comes this often, in seconds of the run.
PROGRESS_S = 10.0


class Tail:
    """Turns a feed into lines. ``is_sick`` says that an alarm was among them, ``is_over`` that the run ended."""

    def __init__(self) -> None:
        self._history = History()
        self._told: dict[int, Alert] = {}
        self._said_s = -math.inf
        self._link = Link.CONNECTING
        self.is_sick = False
        self.is_over = False

    def lines(self, feed: Iterable[Event]) -> Iterator[str]:
        """The lines of each event, as it comes."""
        for event in feed:
            if isinstance(event, Ahead):  # it comes again
                continue
            if not isinstance(event, LinkChanged):
                yield from self._of(event)
                continue
            if event.link is Link.LOST and self._link is not Link.LOST:
                yield self._line("·", "the recorder does not answer; trying again")
            self._link = event.link

    def _of(self, event: Message) -> Iterator[str]:
        before = self._history.step
        if not self._history.apply(event):
            return  # told again, after a reconnection
        match event:
            case Hello():
                yield self._line(
                    "·", f"run {event.name} ({event.run_id}): {event.model} on {event.device}, {event.host}"
                )
            case Batch():
                yield from self._of_batch(event, before)
            case Alert():
                yield from self._of_alert(event)
            case Notice():
                yield self._line("●", event.text)
            case Goodbye():
                self.is_over = True
                yield self._line(*ending(event))

    def _of_batch(self, batch: Batch, before: int) -> Iterator[str]:
        for mark in batch.marks:
            yield self._of_mark(mark)
        for fact in batch.facts:
            if fact.name == HIDDEN:
                yield self._line("○", str(fact.value), fact.step)
        evaluations = evaluated(batch)
        for step, time_s in evaluations.items():
            yield self._line("·", self._numbers(step), step, time_s)
        at_s = self._history.last_time_s or 0.0
        if not evaluations and batch.rows and self._history.step > before and at_s - self._said_s >= PROGRESS_S:
            yield self._line("·", self._numbers(self._history.step))
            self._said_s = at_s
        elif evaluations:
            self._said_s = at_s

    def _of_alert(self, alert: Alert) -> Iterator[str]:
        before = self._told.get(alert.id)
        self._told[alert.id] = alert
        if alert.severity.is_alarm:
            self.is_sick = True
        if before is None or alert.severity > before.severity:
            began = f" (began at step {alert.first_step:,})" if alert.first_step is not None else ""
            text = f"{alert.severity.label}: {alert.rule}{began}: {alert.summary} → {alert.action}"
            yield self._line(GLYPHS[alert.severity], text, alert.raised_step, alert.time_s)
        if not alert.is_open and (before is None or before.is_open):
            yield self._line("✓", f"resolved: {alert.rule}", alert.resolved_step)

    def _of_mark(self, mark: Mark) -> str:
        return self._line("·", f"{mark.kind}: {mark.text}", mark.step, mark.time_s)

    def _numbers(self, step: int) -> str:
        series = self._history.series()
        parts = []
        for key in ("train/loss", "val/loss", "val/accuracy", "grad/norm"):
            if key in series:
                values = series[key].between(0, step)[1][-1:]
                parts += [f"{key} {value:.4g}" for value in values]
        return "  ".join(parts) or "no numbers yet"

    def _line(self, glyph: str, text: str, step: int | None = None, time_s: float | None = None) -> str:
        hello = self._history.hello
        at_s = time_s or self._history.last_time_s or (hello.started_s if hello else time.time())
        clock = time.strftime("%H:%M:%S", time.localtime(at_s))
        return f"{clock} {glyph} step {self._history.step if step is None else step:>7,}  {printable(text)}"


def evaluated(batch: Batch) -> dict[int, float]:
    """The steps at which a batch holds a validation value, in order, and when."""
    rows = sorted({int(row) for key in batch.scalars if key.startswith("val/") for row in column_of(batch, key)[0]})
    steps, times = steps_of(batch), times_of(batch)
    return {int(steps[row]): float(times[row]) for row in rows}


def ending(goodbye: Goodbye) -> tuple[str, str]:
    """How a run ended: a sign and a sentence."""
    match goodbye.reason:
        case "finished":
            return "✓", "finished"
        case "detached":
            return "✓", "the probe was detached"
        case "signal":
            return "✗", f"killed by {goodbye.signal}"
        case "out-of-memory":
            return "✗", "killed for memory"
        case "exception":
            return "✗", f"failed: {goodbye.error}"
        case "exit":
            return "✗", f"exited with status {goodbye.exit_code}"
        case _:
            return "✗", "ended without a goodbye"


def printable(text: str) -> str:
    """The text on one line, with control characters shown instead of obeyed."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
