r"""The loss swings about a level well above its best and no longer falls: the steps are too large to settle.

Signals       training loss; val_loss: one value an evaluation
Formula       over 256 steps: z = Mann-Kendall of 32 block means;  amp = (p90 - p10) / D;  gap = (median - best) / D;
              VR = variance ratio;  r1 = lag-1 correlation;  floor = 0.3 trivial (0.3 start if that is unknown)
Fires         z > -2, amp > 0.25, gap > 0.15, median - best > 5 SE of a block's median, median > floor, learning
              rate above 5 % of its peak, and (VR > 2 or |r1| > 0.1 or gap > 1);  a notice where only the newest three
              quarters of 16 to 64 validation losses do so: z > -1, amp and gap > 0.2 of first - best
Evidence      amp, gap, z, median; of the training loss variance_ratio and correlation
Action        Lower the learning rate to a third, or double the batch size.
Quiet on      noise that still falls (batches of two), a loss near its floor, warm-up, a raised learning rate, a
              marked change, several optimizers, a training accuracy or reward that improves meanwhile
False alarms  0 of 145 healthy small networks (177,095 steps) and of 53 published healthy curves
Source        limits from a pilot on 244 recorded runs of small networks; chosen, not derived

>>> falling = Signal.of(np.linspace(2.3, 0.5, 256))
>>> check(falling, Signal.of([]), RunContext(start=2.3, best=0.5)) is None
True
>>> swinging = Signal.of(1.5 + 0.9 * np.sin(np.arange(256) / 5))
>>> round(check(swinging, Signal.of([]), RunContext(start=2.3, best=0.7))["gap"], 1)
0.5
"""

from __future__ import annotations

import numpy as np

from monitor.model import Action, Floats, Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, TREND, Clock, Evidence, Gate, Rule, Signal, rounded
from monitor.rules.statistics import block_means, lag1_correlation, mann_kendall_z, median, median_se, variance_ratio

WINDOW, EVALUATIONS = 256, 16
#: Steps in the blocks that the best level is the lowest of, and how far below the true level that can be, in SE.
BLOCK, BEST_OF_MANY = 16, 5.0


def check(loss: Signal, val_loss: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    if context.lr_share <= 0.05 or context.metric_improves:
        return None
    return of_training(loss, context, level) or of_validation(val_loss, context, level)


def of_training(loss: Signal, context: RunContext, level: float) -> Evidence | None:
    if len(loss) < WINDOW:
        return None
    middle = median(loss.values[-WINDOW:])
    floor = 0.3 * (context.start if context.trivial is None else context.trivial)
    gap = (middle - context.best) / context.drop if context.drop > 0 else 0.0
    # The best of many noisy levels lies below the true one: by 4.7 SE after a million steps.
    chance = BEST_OF_MANY * median_se(context.noise, BLOCK)
    if not (gap > 0.15 * level and middle > floor and middle - context.best > chance):
        return None
    values = loss.values[-WINDOW:]
    amp = spread(values) / context.drop
    if not amp > 0.25 * level or not (z := mann_kendall_z(block_means(values, 32))) > -2:
        return None
    ratio, correlation = variance_ratio(values), lag1_correlation(values)
    if not (ratio > 2 * level or abs(correlation) > 0.1 * level or gap > level):
        return None
    return Evidence(
        {"amp": amp, "gap": gap, "z": z, "variance_ratio": ratio, "correlation": correlation, "median": middle},
        first_step=int(loss.steps[-WINDOW]),
    )


def spread(values: Floats) -> float:
    """From the 10th to the 90th percentile."""
    tenth = len(values) // 10
    ordered = np.partition(values, (tenth, -1 - tenth))
    return float(ordered[-1 - tenth] - ordered[tenth])


def of_validation(val_loss: Signal, context: RunContext, level: float) -> Evidence | None:
    """Validations that are far from what they have been, this way and that, while the training may be calm."""
    if len(val_loss) < EVALUATIONS:
        return None
    values, gained = val_loss.values[len(val_loss) // 4 :], context.val_first - context.val_best
    if not gained > 0:
        return None
    middle = median(values)
    gap = (middle - context.val_best) / gained
    amp = spread(values) / gained
    if not (gap > 0.2 * level and amp > 0.2 * level) or not (z := mann_kendall_z(values)) > -1 / level:
        return None
    return Evidence(
        {"amp": amp, "gap": gap, "z": z, "median": middle},
        first_step=context.val_best_step,
        severity=Severity.NOTICE,
        where=("validation",),
    )


def summary(found: Evidence, context: RunContext) -> str:
    where = "validation loss" if found.where == ("validation",) else "loss"
    swings = f"{where} swings by {found['amp']:.0%} of what it had gained about {found['median']:.3g}"
    return f"{swings}, and has not fallen since step {found.first_step}"


def action(found: Evidence, context: RunContext) -> str:
    if context.lr is None:
        return "Lower the learning rate to 0.3 of its value, or double the batch size"
    return f"Lower the learning rate from {context.lr:.3g} to {rounded(0.3 * context.lr)}, or double the batch size"


def offers(_found: Evidence, _context: RunContext) -> tuple[Action, ...]:
    return Action("lr", {"factor": 0.3}), Action("checkpoint")


RULE = Rule(
    name="oscillation",
    signals=("loss", "val_loss"),
    severity=Severity.WARNING,
    summary=summary,
    action=action,
    offers=offers,
    check=check,
    clock=Clock.STEPS,
    every=24,
    hold=4,
    warm_up=WINDOW,
    quiet=TREND | Gate.WARM_UP,
    symptom_of=(*STRUCTURE, "non-finite", "dead-units", "exploding-gradient", "divergence"),
)
