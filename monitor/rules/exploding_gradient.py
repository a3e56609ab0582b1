r"""The gradients burst: single steps are so large that they undo what many small ones had learned.

Signals       gradient norm before clipping; training loss
Formula       g = log of the norm;  past = the 128 before the newest 16;  m, s = median(past), 1.4826 MAD(past);
              loss level l = median of the newest 8, against median and MAD of the 128 losses before the newest 16
Fires         3 of the newest 16 norms have g - m > max(log 20, 6 max(s, 0.1)), and l > median + 4 MAD
Evidence      norm: the largest of the 16; median: exp(m); ratio: norm / median; loss: l; before: the median loss;
              p90: the 90th percentile of the past norms
Action        Clip the gradients at the norm that nine of ten usual steps stay below, and lower the learning rate.
Quiet on      norms that grow slowly; single hard batches; bursts that do the loss no harm, as when a loss near zero
              meets a rare hard batch; fewer than 144 steps; a learning rate that has just been raised, a marked
              change, several optimizers
False alarms  0 of 244 healthy small networks (387,600 steps) in the pilot
Source        Pascanu et al. 2013, arXiv:1211.5063; the factor 20 and the gate by the loss are chosen

>>> norm, loss = np.ones(144), np.full(144, 0.5)
>>> norm[[136, 138, 141]], loss[136:] = 50.0, 3.0
>>> found = check(Signal.of(norm), Signal.of(loss), RunContext())
>>> found["ratio"], found.first_step
(50.0, 137)
"""

from __future__ import annotations

import math

import numpy as np

from monitor.model import Action, Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, TREND, Clock, Evidence, Rule, Signal, rounded
from monitor.rules.statistics import largest, mad, median, smallest

RECENT, PAST, LEVEL = 16, 128, 8
#: A burst is so many times the usual norm; so many of them are no accident.
FACTOR, BURSTS = 20.0, 3
#: The least spread of log norms that is believed.
MIN_SPREAD = 0.1


def check(grad_norm: Signal, loss: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    if len(grad_norm) < RECENT + PAST or len(loss) < RECENT + PAST:
        return None
    past, recent = grad_norm.values[:-RECENT], grad_norm.values[-RECENT:]
    least = smallest(past)
    if not (largest(recent) > least * FACTOR**level and least > 0):
        return None
    past_log = np.log(past)
    middle = median(past_log)
    bursts = np.log(recent) - middle > level * max(math.log(FACTOR), 6 * max(mad(past_log), MIN_SPREAD))
    if np.count_nonzero(bursts) < BURSTS * level:
        return None
    before, now = loss.values[:-RECENT], median(loss.values[-LEVEL:])
    usual = median(before)
    if not now > usual + 4 * level * mad(before):
        return None
    norm = float(recent.max())
    return Evidence(
        {
            "norm": norm,
            "median": math.exp(middle),
            "ratio": norm / math.exp(middle),
            "loss": now,
            "before": usual,
            "p90": float(np.quantile(past, 0.9)),
        },
        first_step=int(grad_norm.steps[-RECENT:][bursts.argmax()]),
        severity=Severity.CRITICAL if now > context.reference else Severity.WARNING,
    )


def action(found: Evidence, context: RunContext) -> str:
    clip = f"Clip gradients at {rounded(found['p90'])}"
    if context.lr is None:
        return f"{clip} and lower the learning rate to 0.3 of its value"
    return f"{clip} and lower the learning rate from {context.lr:.3g} to {rounded(0.3 * context.lr)}"


def offers(_found: Evidence, _context: RunContext) -> tuple[Action, ...]:
    return Action("lr", {"factor": 0.3}), Action("checkpoint")


RULE = Rule(
    name="exploding-gradient",
    signals=("grad_norm", "loss"),
    severity=Severity.WARNING,
    summary="gradient norm reaches {norm:.3g}, {ratio:.0f}x its median {median:.3g}, and the loss has risen from "
    "{before:.3g} to {loss:.3g}",
    action=action,
    offers=offers,
    check=check,
    clock=Clock.STEPS,
    window=RECENT + PAST,
    every=RECENT,
    hold=1,
    warm_up=RECENT + PAST,
    quiet=TREND,
    symptom_of=(*STRUCTURE, "non-finite", "divergence"),
)
