r"""The network never recognises some classes, and goes on without them.

Signals       val_recall, val_total, val_predicted: of every class, one row an evaluation; val_hit: the accuracy
Formula       per class with at least 10 validation samples, and a quarter of the most frequent one's: r = largest
              recall of 5 evaluations;
              share = its share of all predictions in the newest evaluation;
              move = range of the accuracy over those 5
Fires         any r <= 0.02 while another class is above 0.5, training loss below 0.8 of its start, move < 0.02;
              or one class takes > 95 % of the predictions in 5 evaluations but < 80 % of the samples
Evidence      classes: how many are never recognised; recall: their largest r; share: the largest share of predictions
Action        Weight the loss by class or sample the lost classes more often; look at their labels first.
Quiet on      the first 200 steps, classes with fewer than 10 validation samples, accuracy that still moves
False alarms  0 of 145 healthy small networks (177,095 steps)
Source        limits from a pilot on 244 recorded runs of small networks; chosen, not derived

>>> recall, total = Signal.of(np.tile([0.9, 0.0], (5, 1))), Signal.of(np.tile([50.0, 50.0], (5, 1)))
>>> predicted, hit = Signal.of(np.tile([1.0, 0.0], (5, 1))), Signal.of(np.full(5, 0.45))
>>> found = check(recall, total, predicted, hit, RunContext(start=0.7, level=0.4, classes=("cat", "dog")))
>>> found.where
('dog',)
"""

from __future__ import annotations

import numpy as np

from monitor.model import Floats, Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, Clock, Evidence, Gate, Rule, Signal, listed

EVALUATIONS = 5
ENOUGH_SAMPLES = 10
LOST, KNOWN = 0.02, 0.5
#: A class that is rarer than the most frequent one by more than this is for the rule class-imbalance; of letters in a
#: text, most are.
COMMON = 4


def check(
    val_recall: Signal,
    val_total: Signal,
    val_predicted: Signal,
    val_hit: Signal,
    context: RunContext,
    *,
    level: float = 1.0,
) -> Evidence | None:
    if len(val_recall) < EVALUATIONS:
        return None
    total = val_total.values[-1]
    enough = total >= max(ENOUGH_SAMPLES, total.max() / COMMON)
    recall = np.where(enough, val_recall.values[-EVALUATIONS:], np.nan)
    best = np.max(recall, axis=0)
    lost = enough & (best <= LOST / level)
    share = float(np.min(val_predicted.values[-EVALUATIONS:], axis=0).max())
    if not lost.any() or not (
        is_learned_without(recall[-1], val_hit.values[-EVALUATIONS:], context, level)
        or (share > 0.95 * level and largest_prior(val_total.values[-1]) < 0.8)
    ):
        return None
    return Evidence(
        {"classes": int(lost.sum()), "recall": float(best[lost].max()), "share": share},
        first_step=int(val_recall.steps[-EVALUATIONS]),
        where=tuple(class_name(context, index) for index in np.flatnonzero(lost).tolist()),
    )


def is_learned_without(recall: Floats, hit: Floats, context: RunContext, level: float) -> bool:
    """Whether the network has learned other classes and has come to rest."""
    learned = context.level < 0.8 / level * context.start
    return bool(learned and np.nanmax(recall) > KNOWN * level and np.ptp(hit) < 0.02 / level)


def largest_prior(total: Floats) -> float:
    return float(total.max() / max(total.sum(), 1.0))


def class_name(context: RunContext, index: int) -> str:
    return context.classes[index] if index < len(context.classes) else str(index)


def summary(found: Evidence, context: RunContext) -> str:
    count = "one class is" if len(found.where) == 1 else f"{len(found.where)} classes are"
    return f"{count} never recognised in the validation: {listed(found.where)} (recall at most {found['recall']:.0%})"


def action(found: Evidence, context: RunContext) -> str:
    names = listed(found.where)
    return f"Check the labels of {names}; then weight the loss by inverse class frequency, or sample them more often"


RULE = Rule(
    name="class-collapse",
    signals=("val_recall", "val_total", "val_predicted", "val_hit"),
    severity=Severity.WARNING,
    summary=summary,
    action=action,
    check=check,
    clock=Clock.CLASSES,
    window=8,
    hold=1,
    warm_up=200,
    quiet=Gate.SWITCH,
    symptom_of=(
        *STRUCTURE,
        "non-finite",
        "dead-units",
        "saturated-units",
        "vanishing-gradient",
        "divergence",
        "slow",
        "lr-collapse",
        "never-learns",
        "class-imbalance",
    ),
)
