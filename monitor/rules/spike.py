r"""The loss, in training or in validation, jumps far out of its range, for a moment or for a while.

Signals       training loss; val_loss: one value an evaluation
Formula       past = the 128 losses before the newest 16 (of coarse rows 32 to 128);  m, s = median(past), 1.4826
              MAD(past);  D = drop;  dev = the largest of the 16 less m;  record = max(past) - m;
              after = median of the 8 losses after the largest one, once there are 8
Fires         dev > max(8 s, 3 record, D / 2), at least half of dev in one step, and the largest is above
              ref = max(start, trivial) or the loss stays up: after > m + max(4 s, D / 10);
              or: one of the newest 8 validation losses is above 3 times the largest of the 3 to 8 before it
Evidence      loss: the largest; median: m (of the 3 to 8 evaluations); after
Action        Look at the batch of that step; if spikes come again, clip the gradients or lower the learning rate.
Quiet on      single hard samples in small batches and a ragged last batch, against which the record stands; jumps
              within what the run has gained that are over at once; a rise over many steps (see divergence); a raised
              learning rate, a marked change, several optimizers, an accuracy or reward that improves meanwhile
False alarms  info when the loss is back within 8 steps: one batch was an outlier; a notice of a coarse row, and of an
              evaluation. A warning when it stays up: then the weights were hit. 0 of 80 healthy small networks in the
              pilot's set that was not tuned on
Source        Chowdhery et al. 2022, arXiv:2204.02311, section 5.1; the record and the aftermath are ours

>>> loss = np.append(np.tile([0.9, 1.0, 1.1], 45), [9.0, 5.0, 5.0, 4.0, 4.0, 4.0, 4.0, 3.0, 3.0])
>>> found = check(Signal.of(loss), Signal.of([]), RunContext(start=2.3, best=1.0))
>>> found["loss"], found["after"], found.first_step
(9.0, 4.0, 136)
"""

from __future__ import annotations

import math

import numpy as np

from monitor.model import Action, Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, TREND, Clock, Evidence, Rule, Signal, rounded
from monitor.rules.statistics import mad, median

RECENT, PAST, AFTER = 16, 128, 8
#: Of coarse rows and of evaluations there are fewer.
MIN_ROWS, MIN_EVALUATIONS = 32, 3
VAL_FACTOR = 3.0


def check(loss: Signal, val_loss: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    if context.metric_improves:
        return None
    return of_training(loss, context, level) or of_validation(val_loss, level)


def of_training(loss: Signal, context: RunContext, level: float) -> Evidence | None:
    if len(loss) < RECENT + (MIN_ROWS if context.is_coarse else PAST):
        return None
    recent = loss.values[-RECENT:]
    at = int(recent.argmax())
    peak = float(recent[at])
    if not peak - context.best > level * max(0.4 * context.drop, 6 * context.noise):  # cheap, and true of few steps
        return None
    past = loss.values[:-RECENT]
    middle = median(past)
    dev, spread, record = peak - middle, mad(past), float(past.max()) - middle
    if not dev > level * max(8 * spread, 3 * record, context.drop / 2):
        return None
    if not float(np.diff(loss.values[-RECENT - 1 :]).max()) > level * dev / 2:
        return None
    after = median(recent[at + 1 : at + 1 + AFTER]) if at + AFTER < RECENT else math.nan
    lasts = after > middle + max(4 * spread, context.drop / 10)
    if not (lasts or peak > level * context.reference):
        return None
    severity = Severity.NOTICE if context.is_coarse else Severity.INFO
    return Evidence(
        {"loss": peak, "median": middle, "after": after},
        first_step=int(loss.steps[-RECENT:][at]),
        severity=Severity.WARNING if lasts else severity,
        where=("training",),
    )


def of_validation(val_loss: Signal, level: float) -> Evidence | None:
    values = val_loss.values
    newest = values[-AFTER:]
    if len(values) <= MIN_EVALUATIONS or not newest.max() > level * VAL_FACTOR * np.abs(newest).min():
        return None
    for at in range(max(MIN_EVALUATIONS, len(values) - AFTER), len(values)):
        before = values[max(0, at - AFTER) : at]
        if values[at] > level * VAL_FACTOR * np.abs(before).max():
            numbers = {"loss": float(values[at]), "median": median(before), "after": math.nan}
            return Evidence(numbers, int(val_loss.steps[at]), Severity.NOTICE, where=("validation",))
    return None


def summary(found: Evidence, context: RunContext) -> str:
    what = "validation loss" if found.where == ("validation",) else "loss"
    text = f"{what} jumped from {found['median']:.3g} to {found['loss']:.3g} at step {found.first_step}"
    if math.isnan(found["after"]):
        return text
    return f"{text}, and stood at {found['after']:.3g} over the {AFTER} steps after it"


def action(found: Evidence, context: RunContext) -> str:
    if found.where == ("validation",):
        return f"Validate again from the checkpoint of step {found.first_step}, and look at its batch statistics"
    look = f"Look at the batch of step {found.first_step}"
    if not found["after"] > found["median"] or context.lr is None:
        return f"{look}; if spikes come again, clip gradients or lower the learning rate"
    return f"{look}; clip gradients, or lower the learning rate from {context.lr:.3g} to {rounded(0.3 * context.lr)}"


def offers(_found: Evidence, _context: RunContext) -> tuple[Action, ...]:
    return Action("checkpoint"), Action("lr", {"factor": 0.3})


RULE = Rule(
    name="spike",
    signals=("loss", "val_loss"),
    severity=Severity.INFO,
    summary=summary,
    action=action,
    offers=offers,
    check=check,
    clock=Clock.STEPS,
    window=RECENT + PAST,
    hold=1,
    warm_up=RECENT + PAST,
    quiet=TREND,
    symptom_of=(*STRUCTURE, "non-finite", "divergence", "exploding-gradient"),
)
