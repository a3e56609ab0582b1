r"""The weights hardly move and the loss hardly falls: the learning rate is far too low.

Signals       update_ratio, grad_norm: of every layer, the newest probes
Formula       ur = log10 of the median of 5 update ratios, the largest over the layers;
              progress = (start - level) / |start|
Fires         ur < -4.3, progress < 20 %, every gradient norm above 1e-6, learning rate above half its peak
Evidence      update_ratio: 10^ur; progress; lr
Action        Raise the learning rate so that the update ratio comes to 1e-3.
Quiet on      the first 200 steps and twice the warm-up, a decayed learning rate, dead networks (no gradient), a
              loss that falls all the same, several optimizers
False alarms  0 of 145 healthy small networks (177,095 steps); fine-tuning with AdamW at 1e-5 gives ur of -3.3 to -4
Source        the ratio of 1e-3: Karpathy, cs231n, neural-networks-3; the limit -4.3 is chosen

>>> still, alive = Signal.of(np.full((5, 2), 1e-6)), Signal.of(np.full((5, 2), 0.1))
>>> check(still, alive, RunContext(start=2.3, level=2.29))["update_ratio"]
1e-06
>>> check(still, alive, RunContext(start=2.3, level=1.0)) is None
True
"""

from __future__ import annotations

import math

import numpy as np

from monitor.model import Action, Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, TREND, Clock, Evidence, Gate, Rule, Signal, rounded

PROBES = 5
#: Update ratio of a network that learns at a healthy pace.
HEALTHY_RATIO = 1e-3
#: The most that one action raises the learning rate by.
MAX_FACTOR = 1000.0
#: The most that a command raises it by.
MAX_COMMAND = 100.0


def check(update_ratio: Signal, grad_norm: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    if len(update_ratio) < PROBES or not len(grad_norm) or not context.start:
        return None
    if level == 1.0 and context.lr_share <= 0.5:  # what a schedule lowers is meant to be low
        return None
    progress = (context.start - context.level) / abs(context.start)
    if not progress < 0.2 / level:
        return None
    # The largest layer counts, so that a frozen embedding beside a learning head is no fault.
    per_layer = np.median(update_ratio.values[-PROBES:], axis=0)
    known = per_layer[np.isfinite(per_layer)]
    if not known.size or not known.max() > 0:
        return None
    gradients = grad_norm.values[-1]
    if not math.log10(known.max()) < -4.3 + (1 - level):
        return None
    if not np.all(gradients[np.isfinite(gradients)] > 1e-6):
        return None
    numbers = {"update_ratio": float(known.max()), "progress": progress, "lr": context.lr or math.nan}
    return Evidence(numbers, first_step=int(update_ratio.steps[0]))


def action(found: Evidence, context: RunContext) -> str:
    factor = min(HEALTHY_RATIO / found["update_ratio"], MAX_FACTOR)
    if context.lr is None or context.lr_peak is None:
        return f"Raise the learning rate about {rounded(factor)}-fold"
    # The peak is what people set; the ratio was measured at what the schedule has made of it.
    return f"Raise the learning rate from {context.lr_peak:.3g} to about {rounded(context.lr * factor)}"


def offers(found: Evidence, _context: RunContext) -> tuple[Action, ...]:
    factor = float(rounded(min(HEALTHY_RATIO / found["update_ratio"], MAX_COMMAND)))
    return Action("lr", {"factor": factor}), Action("checkpoint")


RULE = Rule(
    name="slow",
    signals=("update_ratio", "layer_grad_norm"),
    severity=Severity.WARNING,
    summary="a step moves the weights by {update_ratio:.1g} of their size, and the loss has fallen by {progress:.1%}",
    action=action,
    offers=offers,
    check=check,
    clock=Clock.STEPS,  # of a quick training the layers are seldom looked at after the first hundred steps
    window=16,
    every=24,
    hold=3,
    warm_up=200,
    quiet=TREND | Gate.WARM_UP,
    symptom_of=(*STRUCTURE, "non-finite", "lr-collapse", "dead-units", "vanishing-gradient", "aggressive-clipping"),
)
