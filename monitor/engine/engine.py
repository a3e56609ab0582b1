"""The engine: walks through a run in the order of its steps, asks the rules, keeps the alerts.

What it says does not depend on how the run was cut into batches, so that a replay says what the live engine said:
rules look on a fixed grid of training losses and at each evaluation, set of layer statistics and set of class
counts; what belongs to one step is seen in one order; and a window ends at the step it is looked at from.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from monitor import rows
from monitor.engine.context import EARLY, RunState
from monitor.engine.lifecycle import Incidents, Watch
from monitor.model import Alert, Floats, Goodbye, Hello, Steps
from monitor.rules import RULES, STAY_LEVEL, Clock, Gate, Rule, RunContext
from probe.wire import Batch, ClassCounts, Fact, LayerStats, Mark

logger = logging.getLogger(__name__)

#: Training losses between two looks; what a rule says in ``every`` is a multiple of it.
GRID: Final = 8
#: A row of a coarse log counts for so many steps of a rule's warm-up; of its first rows each is looked at by the
#: rules that otherwise look seldom.
COARSE: Final = 25

#: The order of what belongs to one step: what holds from here on, then the step, then what was measured after it.
_MARK, _FACT, _STEP, _LAYERS, _EVALUATION, _VAL_CLASSES = range(6)


class _Loss(NamedTuple):
    """A point of the grid, or the first loss (or gradient norm) that is not finite."""

    position: int  # losses up to and with this one
    is_onset: bool


class _Evaluation(NamedTuple):
    val_loss: float | None
    val_accuracy: float | None


_Event = tuple[int, int, int, "_Loss | _Evaluation | Mark | Fact | LayerStats | ClassCounts"]


class Engine:
    """Judges one run. A rule that raises is switched off and reported to ``on_fault``; the others go on."""

    def __init__(self, rules: Sequence[Rule] = RULES, *, on_fault: Callable[[str], None] | None = None) -> None:
        self._state = RunState()
        self._incidents = Incidents(rules)
        self._sources = {
            rule.name: [self._state.source(name, rule.window, raw=rule.raw) for name in rule.signals]
            for rule in rules
        }
        self._watches = {
            clock: [watch for watch in self._incidents.watches.values() if watch.rule.clock is clock]
            for clock in Clock
        }
        # From here on, what is due depends on the place in a cycle of the grid alone, and is remembered.
        self._warm_at = max(EARLY, *(rule.warm_up for rule in rules)) + 1
        self._cycle = math.lcm(*(rule.every for rule in rules))
        self._due: dict[int | None, list[Watch]] = {}
        self._on_fault = on_fault or logger.warning
        self._was_finite = True
        self._looked_at = 0

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """All so far, by id."""
        return tuple(self._incidents.alerts.values())

    def hello(self, hello: Hello) -> None:
        """Who is training what: the names of layers and classes."""
        self._state.hello(hello)

    def feed(self, batch: Batch) -> list[Alert]:
        """Judge a batch or a page; returns the alerts that opened, changed or resolved."""
        start = len(self._state.raw_loss)
        steps, losses = self._state.take(batch)
        events = self._loss_events(batch, steps, losses, start)
        events += _other_events(batch)
        events.sort(key=lambda event: event[:3])
        for step, _, _, what in events:
            position = what.position if isinstance(what, _Loss) else self._position(steps, step, start)
            self._state.advance(step, position)
            self._handle(step, what)
        if len(losses):
            self._state.advance(int(steps[-1]), start + len(losses))
        self._state.settle()
        return self._incidents.take_changed()

    def finish(self, goodbye: Goodbye | None) -> list[Alert]:  # noqa: ARG002  what rules of endings will need
        """The end of the run: one more look for every rule that has not looked at its last step."""
        self._look(Clock.STEPS, self._state.step, is_last=True)
        return self._incidents.take_changed()

    # --------------------------------------------------------------------------------------------------------- events

    def _loss_events(self, batch: Batch, steps: Steps, losses: Floats, start: int) -> list[_Event]:
        """Points of the grid, and onsets of values that are not finite."""
        early = range(max(0, min(EARLY - start, len(losses))))
        grid = range(GRID - (start % GRID) - 1, len(losses), GRID)
        points = [*early, *(i for i in grid if i not in early)]
        events: list[_Event] = [(int(steps[i]), _STEP, i, _Loss(start + i + 1, False)) for i in points]
        index, norms = rows.column_of(batch, "grad/norm")
        all_finite = bool(np.isfinite(losses).all() and np.isfinite(norms).all())
        if all_finite and self._was_finite:
            return events
        bad = ~np.isfinite(losses)
        bad |= np.isin(steps, rows.steps_of(batch)[index[~np.isfinite(norms)]])
        begins = bad & ~np.concatenate([[not self._was_finite], bad[:-1]])
        if bad.size:
            self._was_finite = not bad[-1]
        onsets = [i for i in np.flatnonzero(begins).tolist() if (start + i + 1) % GRID]
        return events + [(int(steps[i]), _STEP, i, _Loss(start + i + 1, True)) for i in onsets]

    @staticmethod
    def _position(steps: Steps, step: int, start: int) -> int:
        return start + int(np.searchsorted(steps, step, "right"))

    def _handle(self, step: int, what: object) -> None:
        state = self._state
        if isinstance(what, _Loss):
            is_row = state.is_coarse and what.position <= EARLY
            if is_row != what.is_onset or what.position % GRID == 0:
                self._looked_at = what.position
                self._look(Clock.STEPS, step, is_onset=what.is_onset)
        elif isinstance(what, _Evaluation):
            state.evaluation(step, what.val_loss, what.val_accuracy)
            self._look(Clock.EVALUATIONS, step)
            if what.val_loss is not None and not np.isfinite(what.val_loss):
                self._look(Clock.STEPS, step, is_onset=True)
        elif isinstance(what, LayerStats):
            state.layers(what)
            self._look(Clock.LAYERS, step)
        elif isinstance(what, ClassCounts):
            state.val_classes(what)
            self._look(Clock.CLASSES, step)
        elif isinstance(what, Mark):
            state.mark(what)
        elif isinstance(what, Fact):
            state.fact(what)
            self._look(Clock.FACTS, step)

    # ---------------------------------------------------------------------------------------------------------- looks

    def _look(self, clock: Clock, step: int, *, is_onset: bool = False, is_last: bool = False) -> None:
        """Ask the rules of a clock that are due. At an onset only those that want raw values are."""
        state = self._state
        due = self._due_now(clock, is_onset=is_onset, is_last=is_last)
        if not due:
            return
        context, gates = state.context(), state.gates()
        can_trend = clock is not Clock.STEPS or state.newest_loss_is_finite()
        is_gated = gates is not Gate.NONE  # the & of two flags takes 2 us
        for watch in due:
            rule = watch.rule
            if (is_gated and rule.quiet & gates) or not (rule.raw or can_trend):
                self._incidents.interrupt(watch)
            else:
                self._ask(watch, context, step)

    def _due_now(self, clock: Clock, *, is_onset: bool, is_last: bool) -> list[Watch]:
        is_regular = clock is Clock.STEPS and not (is_onset or is_last)
        key = self._state.points % self._cycle if is_regular and self._state.points >= self._warm_at else None
        if key in self._due:
            return self._due[key]
        due = [
            watch for watch in self._watches[clock] if self._is_due(watch.rule, is_onset=is_onset, is_last=is_last)
        ]
        if key is not None:
            self._due[key] = due
        return due

    def _is_due(self, rule: Rule, *, is_onset: bool, is_last: bool) -> bool:
        points, is_coarse = self._state.points, self._state.is_coarse
        if points < (rule.warm_up // COARSE if is_coarse else rule.warm_up):
            return False
        if is_onset or rule.clock is not Clock.STEPS:
            return rule.raw or not is_onset
        is_on_grid = points % rule.every == 0 or (is_coarse and points <= EARLY and rule.every > GRID)
        return not (is_on_grid and points == self._looked_at) if is_last else is_on_grid

    def _ask(self, watch: Watch, context: RunContext, step: int) -> None:
        rule, state = watch.rule, self._state
        try:
            signals = [newest() for newest in self._sources[rule.name]]
            found = rule.check(*signals, context, level=STAY_LEVEL if watch.holds else 1.0)
            time_s = state.time_s if found is not None or watch.holds else 0.0
            self._incidents.look(watch, found, context, step, time_s)
        except Exception as error:  # noqa: BLE001  a rule may raise anything; the run is judged by the others
            for watches in self._watches.values():
                if watch in watches:
                    watches.remove(watch)
            self._due.clear()
            self._on_fault(
                f"Rule '{rule.name}' is off for this run: it failed at step {step} ({type(error).__name__}: "
                f"{error}). The other rules go on. Please report this."
            )


def _other_events(batch: Batch) -> list[_Event]:
    """Everything of a batch that rules look at beside training losses."""
    events: list[_Event] = [(mark.step, _MARK, i, mark) for i, mark in enumerate(batch.marks)]
    events += [(fact.step, _FACT, i, fact) for i, fact in enumerate(batch.facts)]
    events += [(stats.step, _LAYERS, i, stats) for i, stats in enumerate(batch.layers)]
    for i, counts in enumerate(batch.classes):
        if counts.split == "val" and counts.total:
            events.append((counts.step, _VAL_CLASSES, i, counts))
    (loss_rows, losses), (accuracy_rows, accuracies) = (
        rows.column_of(batch, key) for key in ("val/loss", "val/accuracy")
    )
    if loss_rows.size or accuracy_rows.size:
        loss_at = dict(zip(loss_rows.tolist(), losses.tolist(), strict=True))
        accuracy_at = dict(zip(accuracy_rows.tolist(), accuracies.tolist(), strict=True))
        steps = rows.steps_of(batch)
        for row in sorted(loss_at.keys() | accuracy_at.keys()):
            what = _Evaluation(loss_at.get(row), accuracy_at.get(row))
            events.append((int(steps[row]), _EVALUATION, row, what))
    return events
