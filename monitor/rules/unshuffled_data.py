r"""The batches hold far fewer classes than a fair draw would: the data come sorted.

Signals       labels_entropy: of the classes among a step's targets, nats; val_accuracy: one value an evaluation
Formula       H = entropy of the classes among all targets so far, K of them, B samples a batch;
              fair = H - ln(1 + (K - 1) / B), which the mean entropy of a fair batch is not below;
              mixed = mean of the newest 50 entropies, or of 32 at least where a busy machine has had fewer looks,
              with 4 standard errors of that mean to spare;  hit = median of the newest 3 validation accuracies
Fires         mixed < 0.5 fair and fair > 0.1; a notice, and a warning where hit < 0.8
Evidence      entropy: mixed; fair; accuracy: hit
Action        Shuffle the training data: DataLoader(..., shuffle=True).
Quiet on      batches too small to tell; data of one class; targets that are no classes; the same mixture by classes
              that come in blocks of a few (metric learning)
False alarms  0 in 100,000 batches drawn fairly from 2 to 100 classes; sorted data did no harm in 7 of 10 trainings
              with Adam in the pilot, so that harm must show for a warning
Source        the bias of the plug-in entropy is at most ln(1 + (K - 1) / B): Paninski 2003,
              doi:10.1162/089976603321780272; the other limits are chosen

>>> context = RunContext(targets=np.array([800, 800, 400]), facts={"batch_size": 32})
>>> check(Signal.of(np.zeros(50)), Signal.of([]), context).severity.label
'notice'
"""

from __future__ import annotations

import math

import numpy as np

from monitor.model import Severity, Steps
from monitor.rules.context import RunContext
from monitor.rules.rule import Evidence, Rule, Signal
from monitor.rules.statistics import median

POINTS, FEWEST, ERRORS = 50, 32, 4.0
SHARE, LEAST = 0.5, 0.1
HARMED = 0.8
EVALUATIONS = 3


def check(
    labels_entropy: Signal,
    val_accuracy: Signal,
    context: RunContext,
    *,
    level: float = 1.0,
) -> Evidence | None:
    batch_size = context.facts.get("batch_size")
    newest = labels_entropy.values[-POINTS:]
    if len(newest) < FEWEST or not isinstance(batch_size, int) or not context.targets.any():
        return None
    fair = fair_entropy(context.targets, batch_size)
    mixed = float(newest.mean())
    error = float(newest.std()) / math.sqrt(len(newest)) if len(newest) < POINTS else 0.0
    if not (fair > LEAST and mixed + ERRORS * error < SHARE / level * fair):
        return None
    hit = median(val_accuracy.values[-EVALUATIONS:]) if len(val_accuracy) >= EVALUATIONS else math.nan
    return Evidence(
        {"entropy": mixed, "fair": fair, "accuracy": hit},
        first_step=int(labels_entropy.steps[-len(newest)]),
        severity=Severity.WARNING if hit < HARMED else Severity.NOTICE,
    )


def fair_entropy(targets: Steps, batch_size: int) -> float:
    """The mean entropy of the classes in a batch that is drawn at random, at the least; nats.

    >>> round(fair_entropy(np.array([50, 50]), 1), 9)
    0.0
    """
    share = targets[targets > 0] / targets.sum()
    return float(-(share * np.log(share)).sum()) - math.log1p((len(share) - 1) / batch_size)


def summary(found: Evidence, _context: RunContext) -> str:
    count = math.exp(found["entropy"])
    said = f"a batch holds as much as {count:.1f} classes, where a fair draw holds {math.exp(found['fair']):.1f}"
    if found["accuracy"] < HARMED:
        said += f"; the validation accuracy is {found['accuracy']:.0%}"
    return said


RULE = Rule(
    name="unshuffled-data",
    signals=("labels_entropy", "val_accuracy"),
    severity=Severity.WARNING,
    summary=summary,
    action="Shuffle the training data: DataLoader(..., shuffle=True), or permute the rows before they are sharded",
    check=check,
    window=64,
    every=16,
    hold=3,
    warm_up=POINTS,
)
