r"""The loss has never fallen below what guessing gives.

Signals       training loss
Formula       m = median of the newest 104 (8 of coarse rows);  z = Mann-Kendall of 32 means over up to 256;
              base = the trivial loss (of always guessing the label frequencies), or the start if that is unknown
Fires         m > 0.97 base, best level > 0.85 base, z > -2, and the training accuracy, where there is one, less than
              0.15 above the share of the most frequent class
Evidence      loss: m; base; gap: (base - m) / base; z
Action        Try to overfit one batch: if that fails, the network or the labels are at fault, else the learning rate.
Quiet on      the first 200 steps (8 coarse rows) and twice the warm-up; a slow beginning that falls (z); several
              optimizers
False alarms  0 of 244 healthy small networks (387,600 steps) in the pilot. Where the trivial loss is unknown a
              notice, since a fine-tuning begins on its floor; info without validation, too, since a value loss need
              not fall at all
Source        Karpathy 2019, "A recipe for training neural networks"; 0.97 and 0.85 are chosen

>>> flat = Signal.of(2.3 + 0.01 * np.sin(np.arange(200)))
>>> check(flat, RunContext(start=2.4, best=2.29, trivial=2.3))["base"]
2.3
>>> check(Signal.of(np.linspace(2.3, 2.25, 200)), RunContext(start=2.4, best=2.25, trivial=2.3)) is None
True
"""

from __future__ import annotations

import math

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, TREND, Clock, Evidence, Gate, Rule, Signal, stop_only
from monitor.rules.statistics import block_means, mann_kendall_z, median

WINDOW, STEPS, ROWS, BLOCKS = 256, 104, 8, 32
#: A gain of less than this share of the trivial loss is none; a level below the other one has been learned once.
GAIN, LEARNED = 0.03, 0.15
#: Accuracy above that of always naming the most frequent class.
KNOWN = 0.15


def check(loss: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    steps = ROWS if context.is_coarse else STEPS
    if len(loss) < steps:
        return None
    base = context.base
    if not (context.best > (1 - LEARNED / level) * base > 0) or knows_something(context):
        return None
    middle = median(loss.values[-steps:])
    if not middle > (1 - GAIN / level) * base:
        return None
    z = mann_kendall_z(block_means(loss.values, min(BLOCKS, len(loss))))
    if not z > -2 / level:
        return None
    return Evidence(
        {"loss": middle, "base": base, "gap": (base - middle) / base, "z": z},
        first_step=int(loss.steps[0]),
        severity=severity(context),
    )


def knows_something(context: RunContext) -> bool:
    """Whether the accuracy says that the network does more than name the most frequent class."""
    if context.accuracy is None or context.chance is None:
        return False
    guess = math.exp(-context.chance) if context.majority is None else context.majority
    return context.accuracy >= guess + KNOWN


def severity(context: RunContext) -> Severity:
    if context.trivial is not None:
        return Severity.CRITICAL
    return Severity.NOTICE if context.evaluations else Severity.INFO


def summary(found: Evidence, context: RunContext) -> str:
    text = f"loss {found['loss']:.3g} after {context.points} steps: "
    if context.trivial is None:
        return f"{text}no lower than its start {found['base']:.3g}"
    return f"{text}no better than guessing the label frequencies, which gives {found['base']:.3g}"


def action(found: Evidence, context: RunContext) -> str:
    return (
        "Train on one batch alone: if its loss does not fall either, look at labels, loss and gradients; "
        "else change the learning rate tenfold, up or down"
    )


RULE = Rule(
    name="never-learns",
    signals=("loss",),
    severity=Severity.CRITICAL,
    summary=summary,
    action=action,
    offers=stop_only,
    check=check,
    clock=Clock.STEPS,
    window=WINDOW,
    every=24,
    hold=3,
    warm_up=200,
    quiet=TREND | Gate.WARM_UP,
    symptom_of=(
        *STRUCTURE,
        "non-finite",
        "bad-start",
        "dead-units",
        "saturated-units",
        "vanishing-gradient",
        "exploding-gradient",
        "amp-collapse",
        "aggressive-clipping",
        "divergence",
        "oscillation",
        "slow",
        "lr-collapse",
    ),
)
