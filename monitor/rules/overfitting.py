r"""The validation loss rises while the training loss goes on falling.

Signals       val_loss, train_level, val_accuracy, train_accuracy: one value an evaluation
Formula       v = median of the newest 3 validation losses;  best, first = lowest and first one;
              s = noise of the validation losses, from second differences;  t = median of the newest 3 training levels
Fires         v - best > max(|best| / 10, (first - best) / 200, 5 s), t below its value at the best evaluation,
              and v - t > |v| / 4;  or: training accuracy 0.10 above the validation's, and the best evaluation 5 or
              more ago, with v above best by 5 s
Evidence      val_loss: v; best; train: t; rise: (v - best) / |best|; val_accuracy and its best where there is one
Action        Keep the checkpoint of the best evaluation, and stop or regularise.
Quiet on      validation below training (dropout, augmentation), fewer than 6 evaluations, a small noisy validation
              set (5 s), a gap that was there from the start
False alarms  0 of 145 healthy small networks (177,095 steps) and of 53 published healthy curves (one of those
              got a notice). On a flat validation loss with 25 % noise: 0 of 200 runs of 40 evaluations, 2 of 60 runs
              of 200 evaluations.
              A notice while the validation accuracy holds, a warning when it fell by 2 points and by 5 times its
              own noise, or is unknown and the rise is above (first - best) / 50
Source        Prechelt 1998, doi:10.1007/3-540-49430-8_3 (generalisation loss); the limits are chosen

>>> val = Signal.of([2.0, 1.2, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5])
>>> train = Signal.of([2.0, 1.1, 0.8, 0.6, 0.4, 0.3, 0.2, 0.1])
>>> nothing = Signal.of(np.full(8, np.nan))
>>> check(val, train, nothing, nothing, RunContext(val_best=1.0, val_first=2.0, train_at_best=0.8))["val_loss"]
1.4
"""

from __future__ import annotations

import math

import numpy as np

from monitor.model import Action, Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, Clock, Evidence, Gate, Rule, Signal
from monitor.rules.statistics import curvature_noise, median

EVALUATIONS = 6
#: A fall of the validation accuracy by this much is harm.
ACCURACY_FALL = 0.02
#: The median of 3 noisy values stands so many deviations above the lowest of a hundred by chance alone, or below the
#: highest.
CHANCE = 5.0


def check(
    val_loss: Signal,
    train_level: Signal,
    val_accuracy: Signal,
    train_accuracy: Signal,
    context: RunContext,
    *,
    level: float = 1.0,
) -> Evidence | None:
    if len(val_loss) < EVALUATIONS or not math.isfinite(context.val_best):
        return None
    v, t, best = latest(val_loss), latest(train_level), context.val_best
    noise = curvature_noise(val_loss.values[np.isfinite(val_loss.values)])
    rise = v - best
    gained = context.val_first - best
    rising = rise > level * max(abs(best) / 10, gained / 200, CHANCE * noise)
    memorising = t < context.train_at_best and v - t > level * abs(v) / 4
    if not (rising and memorising) and not (
        accuracy_gap(train_accuracy, val_accuracy) > 0.10 * level
        and np.count_nonzero(val_loss.steps > context.val_best_step) >= 5
        and rise > level * CHANCE * noise
        and t < context.train_at_best
    ):
        return None
    numbers = {"val_loss": v, "best": best, "train": t, "rise": rise / abs(best) if best else math.inf}
    held = latest(val_accuracy)
    if math.isnan(held):
        is_harm = rise > level * gained / 50
    else:
        numbers |= {"val_accuracy": held, "val_accuracy_best": context.val_accuracy_best}
        by_chance = CHANCE * curvature_noise(val_accuracy.values[np.isfinite(val_accuracy.values)])
        is_harm = context.val_accuracy_best - held > max(ACCURACY_FALL, by_chance)
    return Evidence(numbers, context.val_best_step, Severity.WARNING if is_harm else Severity.NOTICE)


def latest(signal: Signal) -> float:
    """The median of the newest 3 known values."""
    known = signal.values[-16:]
    return median(known[np.isfinite(known)][-3:])


def accuracy_gap(train: Signal, val: Signal) -> float:
    gap = latest(train) - latest(val)
    return gap if math.isfinite(gap) else 0.0


def summary(found: Evidence, context: RunContext) -> str:
    text = (
        f"validation loss {found['val_loss']:.3g}, up {found['rise']:.0%} from its best {found['best']:.3g} at step "
        f"{found.first_step}, while the training loss fell to {found['train']:.3g}"
    )
    if "val_accuracy" in found.numbers:
        text += f"; validation accuracy {found['val_accuracy']:.1%}, best {found['val_accuracy_best']:.1%}"
    return text


def action(found: Evidence, context: RunContext) -> str:
    return f"Keep the checkpoint of step {found.first_step} and stop, or add augmentation, weight decay or data"


def offers(_found: Evidence, _context: RunContext) -> tuple[Action, ...]:
    return Action("stop"), Action("checkpoint")


RULE = Rule(
    name="overfitting",
    signals=("val_loss", "train_level", "val_accuracy", "train_accuracy"),
    severity=Severity.NOTICE,
    summary=summary,
    action=action,
    offers=offers,
    check=check,
    clock=Clock.EVALUATIONS,
    window=64,
    hold=4,
    quiet=Gate.ADVERSARIAL | Gate.SWITCH,
    symptom_of=(*STRUCTURE, "non-finite", "divergence", "label-noise"),
)
