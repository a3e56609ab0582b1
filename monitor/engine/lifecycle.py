"""From findings to alerts: debounce, hysteresis, one root cause an incident, repeats counted and not repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from monitor.model import Alert, Severity
from monitor.rules import Clock, Evidence, Rule, RunContext, text_of

#: Looks in a row that must find nothing before an alert resolves.
CLEAN_LOOKS: Final = 3
#: An open alert is told again, with fresh numbers, each so many looks.
REFRESH_LOOKS: Final = 32
#: A condition that comes back within so many training steps is the same alert, counted once more.
REPEAT_STEPS: Final = 1000

#: The signals of the rules by their names on the wire.
WIRE_KEYS: Final = {
    "loss": "train/loss",
    "loss_trail": "train/loss",
    "train_level": "train/loss",
    "grad_norm": "grad/norm",
    "grad_norm_applied": "grad/norm_applied",
    "amp_scale": "amp/scale",
    "amp_skipped": "amp/skipped_total",
    "step_s": "time/step_s",
    "data_s": "time/data_s",
    "samples_per_s": "rate/samples_per_s",
    "samples_per_s_course": "rate/samples_per_s",
    "tokens_per_s": "rate/tokens_per_s",
    "tokens_per_s_course": "rate/tokens_per_s",
    "input_mean": "input/mean",
    "input_std": "input/std",
    "input_std_ratio": "input/std_ratio",
    "labels_entropy": "labels/entropy",
    "rss_bytes_course": "memory/rss_bytes",
    "allocated_bytes_course": "memory/allocated_bytes",
    "loss_term": "train/loss",
    "val_loss": "val/loss",
    "val_accuracy": "val/accuracy",
    "val_hit": "val/accuracy",
    "train_accuracy": "train/accuracy",
    "layer_grad_norm": "grad_norm",
    "val_recall": "val/accuracy",
    "val_total": "val/accuracy",
    "val_predicted": "val/accuracy",
}


def wire_keys(rule: Rule) -> list[str]:
    """The series that a rule looks at, each once."""
    return list(dict.fromkeys(WIRE_KEYS.get(name, name) for name in rule.signals))


@dataclass(slots=True)
class Watch:
    """How one rule stands: what time belongs to, so that the rule needs none."""

    rule: Rule
    rank: int  # in the order of causes
    streak: int = 0  # looks in a row that found it
    clean: int = 0  # looks in a row that did not
    looks: int = 0  # since it holds
    incident: int | None = None  # the alert that it owns or is folded under, while it holds
    last_incident: int | None = None  # the one that it owned last
    closed_at: int = 0  # training losses so far when that closed
    found: Evidence | None = None

    @property
    def holds(self) -> bool:
        return self.incident is not None

    @property
    def is_alarm(self) -> bool:
        return self.found is not None and self.severity_of(self.found).is_alarm

    def severity_of(self, found: Evidence) -> Severity:
        return self.rule.severity if found.severity is None else found.severity


class Incidents:
    """All alerts of a run, and which rule owns which of them."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.watches = {rule.name: Watch(rule, rank) for rank, rule in enumerate(rules)}
        self.alerts: dict[int, Alert] = {}
        self._changed: dict[int, None] = {}

    def take_changed(self) -> list[Alert]:
        """The alerts that changed since the last call, as they are now, in the order of their ids."""
        ids, self._changed = sorted(self._changed), {}
        return [self.alerts[id_] for id_ in ids]

    def look(self, watch: Watch, found: Evidence | None, context: RunContext, step: int, time_s: float) -> None:
        """What one look of a rule found."""
        if found is None:
            watch.streak = 0
            watch.clean += 1
            if watch.holds and watch.clean >= (1 if watch.rule.clock is Clock.FACTS else CLEAN_LOOKS):
                self._close(watch, context, step, time_s)
            return
        watch.clean = 0
        watch.streak += 1
        if watch.streak > 1 and watch.found is not None:
            # Where it began is what the first look of the streak said: later windows have moved on.
            found = replace(found, first_step=watch.found.first_step)
        watch.found = found
        if watch.holds:
            self._hold(watch, found, context, step)
        elif watch.streak >= watch.rule.hold or found.is_certain:
            self._open(watch, found, context, step, time_s)

    def interrupt(self, watch: Watch) -> None:
        """The rule may not look: a streak does not bridge the gap, and an open alert stays as it is."""
        watch.streak = 0

    # ----------------------------------------------------------------------------------------------------- lifecycle

    def _open(self, watch: Watch, found: Evidence, context: RunContext, step: int, time_s: float) -> None:
        """A rule's condition has begun: it belongs to an alert that is there, or becomes one."""
        watch.looks = 0
        if (cause := self._cause_of(watch, found)) is not None:
            self._fold(watch, cause)
        elif effects := self._effects_of(watch, found, step):
            self._take_over(watch, effects[0], found, context, step, time_s)
            for effect in effects[1:]:
                self._absorb(watch, effect, step)
        elif (author := self._author_of(watch, found)) is not None:
            self._reopen(watch, author, step)
        elif watch.last_incident is not None and self._is_same(watch, found, context):
            watch.incident = watch.last_incident
            count = self.alerts[watch.incident].count + 1
            self._tell(watch, found, context, step, resolved_step=None, count=count)
        else:
            self._raise(watch, found, context, step, time_s)

    def _raise(self, watch: Watch, found: Evidence, context: RunContext, step: int, time_s: float) -> None:
        id_ = len(self.alerts) + 1
        self.alerts[id_] = Alert(
            id=id_,
            rule=watch.rule.name,
            severity=watch.severity_of(found),
            raised_step=step,
            first_step=found.first_step,
            time_s=time_s,
            signals=wire_keys(watch.rule),
        )
        watch.incident = watch.last_incident = id_
        self._tell(watch, found, context, step)

    def _reopen(self, watch: Watch, author: Watch, step: int) -> None:
        """A symptom is from the time of a closed incident: its harm was not over."""
        assert author.last_incident is not None
        author.incident = author.last_incident
        alert = msgspec.structs.replace(self.alerts[author.last_incident], resolved_step=None, last_step=step)
        self._put(alert)
        self._fold(watch, alert)

    def _is_same(self, watch: Watch, found: Evidence, context: RunContext) -> bool:
        """Whether what the rule found is its last alert come back: soon after, or begun before that was over."""
        if context.points - watch.closed_at <= REPEAT_STEPS:
            return True
        over = self.alerts[watch.last_incident].resolved_step if watch.last_incident is not None else None
        return over is not None and found.first_step is not None and found.first_step < over

    def _hold(self, watch: Watch, found: Evidence, context: RunContext, step: int) -> None:
        watch.looks += 1
        alert = self._owned(watch)
        if alert is None:
            return
        if watch.severity_of(found) > alert.severity or set(found.where) - set(alert.where):
            self._tell(watch, found, context, step)
        elif watch.looks % REFRESH_LOOKS == 0:
            # The action stays: what it tells to change, and to which value, was read when the trouble began.
            self._tell(watch, found, context, step, action=alert.action, offers=alert.offers)

    def _close(self, watch: Watch, context: RunContext, step: int, time_s: float) -> None:
        alert = self._owned(watch)
        symptoms = [
            other for other in self.watches.values() if other is not watch and other.incident == watch.incident
        ]
        if alert is not None and any(other.is_alarm for other in symptoms):
            return  # the harm that it did is still there: units that a divergence has killed stay dead
        watch.incident, watch.streak, watch.closed_at = None, 0, context.points
        if alert is None:
            return
        self._put(msgspec.structs.replace(alert, resolved_step=step, last_step=step))
        for other in symptoms:
            other.incident = None
            if other.found is not None:
                self._open(other, other.found, context, step, time_s)

    def _tell(self, watch: Watch, found: Evidence, context: RunContext, step: int, **changes: object) -> None:
        """Put the newest findings into the alert that a rule owns. Severity never falls; where it began stays."""
        assert watch.incident is not None
        alert = self.alerts[watch.incident]
        severity = watch.severity_of(found)
        told = Evidence(
            found.numbers, alert.first_step, severity, found.where or tuple(alert.where), found.confidence
        )
        new = {
            "severity": max(alert.severity, severity),
            "last_step": step,
            "where": list(told.where),
            "evidence": dict(found.numbers),
            "summary": text_of(watch.rule.summary, told, context),
            "action": text_of(watch.rule.action, told, context),
            "offers": list(watch.rule.offers(told, context)),
            "confidence": found.confidence,
        }
        self._put(msgspec.structs.replace(alert, **(new | changes)))

    def _put(self, alert: Alert) -> None:
        self.alerts[alert.id] = alert
        self._changed[alert.id] = None

    def _owned(self, watch: Watch) -> Alert | None:
        alert = self.alerts.get(watch.incident) if watch.incident is not None else None
        return alert if alert is not None and alert.rule == watch.rule.name else None

    # --------------------------------------------------------------------------------------------------- attribution

    def _owners(self, but: Watch) -> list[tuple[Watch, Alert]]:
        """The rules that own an open alert, in the order of causes."""
        pairs = [(watch, self._owned(watch)) for watch in self.watches.values() if watch is not but]
        return [(watch, alert) for watch, alert in pairs if alert is not None]

    def _cause_of(self, watch: Watch, found: Evidence) -> Alert | None:
        """The open alert that explains a finding: of a rule that can cause it, and that it cannot have caused."""
        severity = watch.severity_of(found)
        for owner, alert in self._owners(but=watch):
            if owner.rule.name not in watch.rule.symptom_of or (severity.is_alarm and not alert.severity.is_alarm):
                continue
            is_mutual = watch.rule.name in owner.rule.symptom_of
            if not is_mutual or not self._began_before(watch, found, owner, alert):
                return alert
        return None

    def _effects_of(self, watch: Watch, found: Evidence, step: int) -> list[Watch]:
        """The rules whose open alerts this finding explains, having begun before they were said; the eldest first."""
        began = found.first_step if found.first_step is not None else step
        effects = [
            (alert.id, owner)
            for owner, alert in self._owners(but=watch)
            if watch.rule.name in owner.rule.symptom_of and began <= alert.raised_step
        ]
        return [owner for _, owner in sorted(effects, key=lambda pair: pair[0])]

    def _author_of(self, watch: Watch, found: Evidence) -> Watch | None:
        """The rule whose closed alert explains a finding that is from the time when that was open."""
        for owner in self.watches.values():
            alert = self.alerts.get(owner.last_incident or 0)
            if owner is watch or owner.holds or alert is None or alert.resolved_step is None:
                continue
            began = alert.resolved_step if found.first_step is None else found.first_step
            is_symptom = watch.rule.name in alert.symptoms
            could_be = owner.rule.name in watch.rule.symptom_of and (alert.first_step or 0) <= began
            could_be = could_be and watch.severity_of(found) <= alert.severity
            if (is_symptom or could_be) and began < alert.resolved_step:
                return owner
        return None

    @staticmethod
    def _began_before(watch: Watch, found: Evidence, owner: Watch, alert: Alert) -> bool:
        if found.first_step is None or alert.first_step is None or found.first_step == alert.first_step:
            return watch.rank < owner.rank
        return found.first_step < alert.first_step

    def _fold(self, watch: Watch, cause: Alert) -> None:
        watch.incident = cause.id
        if watch.rule.name not in cause.symptoms:
            self._put(msgspec.structs.replace(cause, symptoms=[*cause.symptoms, watch.rule.name]))

    def _take_over(
        self, watch: Watch, effect: Watch, found: Evidence, context: RunContext, step: int, time_s: float
    ) -> None:
        """One incident, one alert: it keeps its id, and from here on has the name of its cause."""
        assert effect.incident is not None
        old = self.alerts[effect.incident]
        watch.incident = watch.last_incident = old.id
        effect.last_incident = None
        self.alerts[old.id] = msgspec.structs.replace(
            old,
            rule=watch.rule.name,
            severity=max(old.severity, watch.severity_of(found)),
            raised_step=step,
            first_step=found.first_step,
            time_s=time_s,
            where=[],
            signals=wire_keys(watch.rule),
            symptoms=[*old.symptoms, effect.rule.name],
        )
        self._tell(watch, found, context, step)

    def _absorb(self, watch: Watch, effect: Watch, step: int) -> None:
        """A second alert of the same incident is over as such: from here on it is a symptom of its cause."""
        assert effect.incident is not None
        assert watch.incident is not None
        self._put(msgspec.structs.replace(self.alerts[effect.incident], resolved_step=step, last_step=step))
        for other in self.watches.values():
            if other.incident == effect.incident and other is not effect:
                self._fold(other, self.alerts[watch.incident])
        effect.last_incident = None
        self._fold(effect, self.alerts[watch.incident])
