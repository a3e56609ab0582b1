"""The rules over a recording of the zoo, and whether they were right."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitor.commands.diagnose import recorded as messages_of
from monitor.engine import Engine
from monitor.feeds.continued import ContinuedFeed
from monitor.model import Alert, Severity
from monitor.rules import RULES, Clock, Rule
from probe import wire
from tests.diagnosis.zoo.fault import NONE
from tests.diagnosis.zoo.loop import Outcome
from tests.diagnosis.zoo.record import recorded
from tests.diagnosis.zoo.sick import Case, cases

RULE = {rule.name: rule for rule in RULES}
#: A fault is manifest if the validation after its onset is worse than every twin's by this share of what it learned.
MARGIN = 0.1
#: A healthy training's last validations may be so many times its best one; above it, it does overfit.
OVERFITS = 1.25


@dataclass(frozen=True)
class Judged:
    """One recording with what the rules said of it."""

    case: Case
    outcome: Outcome
    alerts: Sequence[Alert]
    twins: Sequence[Outcome]

    @property
    def is_healthy(self) -> bool:
        return self.case.fault is NONE

    @property
    def told(self) -> list[Alert]:
        """Alerts of notice and above."""
        return [alert for alert in self.alerts if alert.severity >= Severity.NOTICE]

    @property
    def false_alarms(self) -> list[Alert]:
        """Alarms of a healthy training; of a sick one those before its onset."""
        alarms = [alert for alert in self.told if alert.severity.is_alarm]
        if not self.is_healthy:
            return [alert for alert in alarms if alert.raised_step < self.outcome.onset]
        return [alert for alert in alarms if not (alert.rule == "overfitting" and self.overfits > OVERFITS)]

    @property
    def since_onset(self) -> list[Alert]:
        return [alert for alert in self.told if alert.raised_step >= self.outcome.onset]

    @property
    def right(self) -> Alert | None:
        """The first alert that names the fault."""
        return next((alert for alert in self.since_onset if alert.rule in self.case.fault.named_by), None)

    @property
    def overfits(self) -> float:
        """The last three validations as a multiple of the best one; 1 for losses that may be negative or zero."""
        losses = [loss for _, loss in self.outcome.val]
        best = min(losses)
        return statistics.median(losses[-3:]) / best if best > 0 and not self.case.recipe.is_adversarial else 1.0

    @property
    def is_manifest(self) -> bool:
        if self.case.fault.is_structural:
            return True
        harmed = after(self.outcome, self.outcome.onset)
        if not np.isfinite(harmed):
            return True
        return all(harmed > after(twin, self.outcome.onset) + MARGIN * learned(twin) for twin in self.twins)

    @property
    def delay(self) -> tuple[int, int] | None:
        """Steps from the onset to the right alert, and from where the rule could first have said it."""
        if self.right is None:
            return None
        raised = self.right.raised_step
        return raised - self.outcome.onset, max(0, raised - earliest(RULE[self.right.rule], self.outcome))


def judged(part: str, seeds: int, folder: Path) -> Iterator[Judged]:
    """Every recording of a part that is there."""
    twins: dict[str, list[Outcome]] = {}
    for case in cases(part, seeds):
        if (found := recorded(case, folder)) is None:
            continue
        files, outcome = found
        if case.fault is NONE:
            twins.setdefault(case.recipe.name, []).append(outcome)
        yield Judged(case, outcome, alerts_of(story(files)), tuple(twins.get(case.recipe.name, [])))


def story(files: Sequence[Path]) -> Iterable[wire.Message]:
    """What is in the run files of one training: one, or two after a resumption."""
    *before, last = files
    return ContinuedFeed(messages_of(last), lambda _hello: (m for file in before for m in messages_of(file)))


def alerts_of(messages: Iterable[wire.Message]) -> tuple[Alert, ...]:
    engine = Engine()
    for message in messages:
        if isinstance(message, wire.Hello):
            engine.hello(message)
        elif isinstance(message, wire.Batch):
            engine.feed(message)
    engine.finish(None)
    return engine.alerts


def after(outcome: Outcome, onset: int) -> float:
    """The mean validation loss from the onset on."""
    return float(np.mean([loss for step, loss in outcome.val if step >= onset]))


def learned(outcome: Outcome) -> float:
    losses = [loss for _, loss in outcome.val]
    return losses[0] - min(losses)


def earliest(rule: Rule, outcome: Outcome) -> int:
    """The step of the look at which a rule that found the fault at once could first have said so."""
    begin = max(outcome.onset, rule.warm_up)
    if rule.clock is Clock.STEPS:
        looks = [step for step in range(rule.every, outcome.steps + 1, rule.every) if step >= begin]
    elif rule.clock is Clock.LAYERS:
        looks = [step for step in range(10, outcome.steps + 1, 10) if step >= begin]
    else:
        looks = [step for step, _ in outcome.val if step >= begin]
    return looks[min(rule.hold, len(looks)) - 1] if looks else outcome.steps
