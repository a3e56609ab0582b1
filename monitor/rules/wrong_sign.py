r"""The loss is what it cannot be: below zero, for a loss that has zero as its least value.

Signals       training loss; loss_term: the loss function's own value, where that is not the whole training loss
Formula       l, t = the newest 3 of each; the objective is a cross-entropy, or a mean of squares or of distances
Fires         all l < 0, and there is no other term in it: no loss_term, or |l + t| < |t| / 1000, the term with its
              sign turned
Evidence      loss: the newest l; term: the newest t, NaN if there is none
Action        Turn the sign of the loss: the optimizer makes it as small as it can.
Quiet on      losses that may be negative (of densities, contrastive ones, of rewards), and sums of several terms
False alarms  none by construction: such a loss is never negative
Source        the definition of these losses; targets outside 0 to 1 make a binary cross-entropy negative, too

>>> context = RunContext(objective="cross_entropy")
>>> check(Signal.of([-2.3, -2.4, -2.5]), Signal.of([]), context)["loss"]
-2.5
>>> check(Signal.of([-0.1, -0.1, -0.1]), Signal.of([0.2, 0.2, 0.2]), context) is None
True
"""

from __future__ import annotations

import math

import numpy as np

from monitor.model import Action, Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import Clock, Evidence, Rule, Signal
from monitor.rules.statistics import largest

STEPS = 3
NEVER_NEGATIVE = ("cross_entropy", "binary_cross_entropy", "mse", "l1")


def check(loss: Signal, loss_term: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    if context.objective not in NEVER_NEGATIVE or len(loss) < STEPS or not largest(loss.values[-STEPS:]) < 0:
        return None
    newest, terms = loss.values[-STEPS:], loss_term.values[-STEPS:]
    if len(terms):
        if len(terms) < STEPS or np.any(np.abs(newest + terms) > np.abs(terms) / 1000 / level):
            return None
    elif context.is_sum:
        return None
    return Evidence(
        {"loss": float(newest[-1]), "term": float(terms[-1]) if len(terms) else math.nan},
        first_step=int(loss.steps[-STEPS]),
    )


def summary(found: Evidence, context: RunContext) -> str:
    what = context.objective.replace("_", " ")
    if math.isnan(found["term"]):
        return f"the loss is {found['loss']:.3g}, and a {what} is never negative"
    return f"the loss is {found['loss']:.3g}: the {what} of {found['term']:.3g} with its sign turned"


def action(found: Evidence, context: RunContext) -> str:
    if math.isnan(found["term"]):
        return "Look for a sign in front of the loss, and for targets that are not in its range (0 to 1, or indices)"
    return "Take the minus sign from the loss: the optimizer makes it as small as it can"


def offers(_found: Evidence, _context: RunContext) -> tuple[Action, ...]:
    return (Action("stop", {"checkpoint": False}),)


RULE = Rule(
    name="wrong-sign",
    signals=("loss", "loss_term"),
    severity=Severity.CRITICAL,
    summary=summary,
    action=action,
    offers=offers,
    check=check,
    clock=Clock.STEPS,
    window=8,
    every=16,
    hold=1,
    symptom_of=("non-finite",),
)
