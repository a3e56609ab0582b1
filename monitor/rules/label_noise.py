r"""The training accuracy rises and the validation accuracy stays at chance: the labels do not belong to the samples.

Signals       train_accuracy, val_accuracy: one value an evaluation; val_total: its targets of each class
Formula       prior = share of the most frequent class among the training targets;  train = newest training accuracy;
              best = highest validation accuracy so far;  three = highest median of 3 in a row;
              guess = share of the most frequent class among the validation's targets, prior if that is unknown
Fires         train > prior + 0.2, three < guess + 0.08 and best < guess + 0.16, from the 8th evaluation on
Evidence      train; best; guess
Action        Look at 20 pairs of sample and label as the model gets them.
Quiet on      runs without class targets; fewer than 8 evaluations; the first 200 steps; any validation above chance.
              A part of the labels that is wrong shows as overfitting
False alarms  0 of 244 healthy small networks (387,600 steps) in the pilot
Source        networks fit random labels: Zhang et al. 2017, arXiv:1611.03530; the limits are chosen

>>> context = RunContext(majority=0.1, val_accuracy_best=0.12, evaluations=8)
>>> rising, even = Signal.of([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]), Signal.of([[45.0] * 10])
>>> found = check(rising, Signal.of([0.1] * 8), even, context)
>>> found["train"], found["best"]
(0.8, 0.12)
"""

from __future__ import annotations

import numpy as np

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, Clock, Evidence, Gate, Rule, Signal, stop_only

EVALUATIONS = 8
#: Above guessing: what was learned of the training set; what is chance in three evaluations, and in one.
LEARNED, CHANCE, ONE_CHANCE = 0.2, 0.08, 0.16


def check(
    train_accuracy: Signal, val_accuracy: Signal, val_total: Signal, context: RunContext, *, level: float = 1.0
) -> Evidence | None:
    prior = context.majority
    if min(len(train_accuracy), len(val_accuracy)) < EVALUATIONS or prior is None:
        return None
    train, best = float(train_accuracy.values[-1]), context.val_accuracy_best
    # A training set with frequent classes is often validated on an even one, where guessing them gains little.
    guess = float(val_total.values[-1].max() / val_total.values[-1].sum()) if len(val_total) else prior
    if not (train > prior + LEARNED * level and best < guess + ONE_CHANCE / level):
        return None
    if not best_of_three(val_accuracy) < guess + CHANCE / level:
        return None
    return Evidence({"train": train, "best": best, "guess": guess}, first_step=int(val_accuracy.steps[0]))


def best_of_three(val_accuracy: Signal) -> float:
    """The highest median of three in a row: a network that knows nothing may be lucky once."""
    threes = np.lib.stride_tricks.sliding_window_view(val_accuracy.values, 3)
    return float(np.median(threes, axis=1).max())


RULE = Rule(
    name="label-noise",
    signals=("train_accuracy", "val_accuracy", "val_total"),
    severity=Severity.WARNING,
    summary=(
        "the training accuracy is {train:.0%}, and the validation accuracy has never been above {best:.0%}, where "
        "guessing gives {guess:.0%}"
    ),
    action="Look at 20 pairs of sample and label as the model gets them: one was shuffled or shifted alone",
    offers=stop_only,
    check=check,
    clock=Clock.EVALUATIONS,
    window=64,
    hold=1,
    warm_up=200,
    quiet=Gate.SWITCH | Gate.ADVERSARIAL,
    symptom_of=(*STRUCTURE, "non-finite", "divergence"),
)
