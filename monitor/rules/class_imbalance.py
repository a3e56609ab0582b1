r"""Some classes are rare among the training targets, and the network recognises them badly.

Signals       val_recall, val_total: of every class, one row an evaluation; the training targets so far
Formula       rare = classes with less than a tenth of the targets of the most frequent one;
              r = largest recall of a rare class in 5 evaluations;  m = median newest recall of the other classes
Fires         any rare class after 500 targets: for information only; a warning where one of them with at least 10
              validation samples has r < m / 2, m > 0.5, and the training loss is below 0.8 of its start
Evidence      ratio: of the most frequent class to the rarest; recall: the largest r of those; others: m
Action        Sample the rare classes more often, or weight the loss by inverse class frequency.
Quiet on      targets that a sampler has evened out; classes with fewer than 10 validation samples; the first 200
              steps; rare classes that are recognised
False alarms  uneven data alone never ring; with the harm of a rare class they are the fault
Source        the tenth: SageMaker Debugger, ClassImbalance (10); there it is the data that ring, here their harm

>>> recall, total = Signal.of(np.tile([0.9, 0.2], (5, 1))), Signal.of(np.tile([90.0, 10.0], (5, 1)))
>>> context = RunContext(start=0.7, level=0.2, classes=("cat", "dog"), targets=np.array([950, 50]))
>>> found = check(recall, total, context)
>>> found.where, found["ratio"]
(('dog',), 19.0)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.model import Floats, Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, Clock, Evidence, Gate, Rule, Signal, listed

EVALUATIONS = 5
ENOUGH_TARGETS, ENOUGH_SAMPLES = 500, 10
RARE = 0.1
KNOWN, SHARE = 0.5, 0.5


def check(val_recall: Signal, val_total: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    if not len(val_recall) or context.targets.sum() < ENOUGH_TARGETS:
        return None
    width = val_recall.values.shape[1]
    targets = np.zeros(width)
    targets[: len(context.targets)] = context.targets[:width]
    is_met = (targets > 0) | (val_total.values[-1] > 0)
    rare = is_met & (targets < RARE / level * targets.max())
    if not rare.any():
        return None
    best, others = recalls(val_recall, rare)
    # A severity never falls, so that harm has one limit: the lower one of an open alert would find it in any run.
    harmed = rare & (val_total.values[-1] >= ENOUGH_SAMPLES) & (best < SHARE * others)
    is_harm = others > KNOWN and context.level < 0.8 * context.start and bool(harmed.any())
    at_fault = harmed if is_harm else rare
    return Evidence(
        {
            "ratio": float(targets.max() / max(targets[rare].min(), 1.0)),
            "recall": float(best[at_fault].max()),
            "others": others,
        },
        first_step=1,
        severity=Severity.WARNING if is_harm else Severity.INFO,
        where=tuple(class_name(context, index) for index in np.flatnonzero(at_fault).tolist()),
    )


def recalls(val_recall: Signal, rare: NDArray[np.bool_]) -> tuple[Floats, float]:
    """The best recall of each class lately, NaN before there are enough evaluations; that of the usual ones now."""
    newest = val_recall.values[-EVALUATIONS:]
    best = newest.max(axis=0) if len(newest) == EVALUATIONS else np.full(newest.shape[1], np.nan)
    usual = newest[-1][~rare]
    usual = usual[np.isfinite(usual)]
    return best, float(np.median(usual)) if usual.size else np.nan


def class_name(context: RunContext, index: int) -> str:
    return context.classes[index] if index < len(context.classes) else str(index)


def summary(found: Evidence, context: RunContext) -> str:
    names = listed(found.where)
    rare = f"{names}: rare among the training targets, by up to {found['ratio']:.3g} to 1"
    if found["recall"] < SHARE * found["others"]:
        return f"{rare}; recall at most {found['recall']:.0%}, where other classes have {found['others']:.0%}"
    return rare


def action(found: Evidence, _context: RunContext) -> str:
    names = listed(found.where)
    return f"Sample {names} more often (WeightedRandomSampler), or weight the loss by inverse class frequency"


RULE = Rule(
    name="class-imbalance",
    signals=("val_recall", "val_total"),
    severity=Severity.WARNING,
    summary=summary,
    action=action,
    check=check,
    clock=Clock.CLASSES,
    window=8,
    hold=1,
    warm_up=200,
    quiet=Gate.SWITCH,
    symptom_of=(*STRUCTURE, "non-finite", "dead-units", "divergence", "slow"),
)
