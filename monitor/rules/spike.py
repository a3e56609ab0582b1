r"""The loss jumps above where the run began, for a step or for a while.

Signals       training loss
Formula       past = the 128 losses before the newest 16;  m, s = median(past), 1.4826 MAD(past);
              dev = the largest of the 16 less m;  record = max(past) - m;
              after = median of the 8 losses after the largest one, once there are 8
Fires         dev > 8 s, dev > 3 record, the largest is above ref = max(start, trivial), and it came as a jump: before
              the first of the 16 above m + dev / 2, the median of 4 is below m + dev / 4
Evidence      loss: the largest; median: m; ratio: dev / s; after
Action        Look at the batch of that step; if spikes come again, clip the gradients or lower the learning rate.
Quiet on      single hard samples in small batches and a ragged last batch, against which the record stands; jumps
              within what the run has gained; a rise over many steps (see divergence); a raised learning rate, a
              marked change, several optimizers, a training accuracy or reward that improves meanwhile
False alarms  info when the loss is back within 8 steps: one batch was an outlier. A warning when after > m + 4 s:
              then the weights were hit. 0 of 80 healthy small networks in the pilot's set that was not tuned on
Source        Chowdhery et al. 2022, arXiv:2204.02311, section 5.1; the record and the aftermath are ours

>>> loss = np.append(np.tile([0.9, 1.0, 1.1], 45), [9.0, 5.0, 5.0, 4.0, 4.0, 4.0, 4.0, 3.0, 3.0])
>>> found = check(Signal.of(loss), RunContext(start=2.3, best=1.0))
>>> found["loss"], found["after"], found.first_step
(9.0, 4.0, 136)
"""

from __future__ import annotations

import math

from monitor.model import Action, Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, TREND, Clock, Evidence, Rule, Signal, rounded
from monitor.rules.statistics import mad, median

RECENT, PAST, BEFORE, AFTER = 16, 128, 4, 8


def check(loss: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    if len(loss) < RECENT + PAST or context.metric_improves:
        return None
    past, recent = loss.values[:-RECENT], loss.values[-RECENT:]
    at = int(recent.argmax())
    peak = float(recent[at])
    if not peak > level * context.reference:
        return None
    middle = median(past)
    dev, spread, record = peak - middle, mad(past), float(past.max()) - middle
    if not dev > level * max(8 * spread, 3 * record):
        return None
    onset = int((recent > middle + dev / 2).argmax())
    if level == 1 and not median(recent[max(0, onset - BEFORE) : onset]) < middle + dev / 4:
        return None
    after = median(recent[at + 1 : at + 1 + AFTER]) if at + AFTER < RECENT else math.nan
    lasts = after > middle + max(4 * spread, dev / 4)
    return Evidence(
        {"loss": peak, "median": middle, "ratio": dev / spread if spread > 0 else math.inf, "after": after},
        first_step=int(loss.steps[-RECENT:][at]),
        severity=Severity.WARNING if lasts else Severity.INFO,
    )


def summary(found: Evidence, context: RunContext) -> str:
    text = f"loss jumped from {found['median']:.3g} to {found['loss']:.3g} at step {found.first_step}"
    if math.isnan(found["after"]):
        return text
    return f"{text}, and stood at {found['after']:.3g} over the {AFTER} steps after it"


def action(found: Evidence, context: RunContext) -> str:
    look = f"Look at the batch of step {found.first_step}"
    if not found["after"] > found["median"] or context.lr is None:
        return f"{look}; if spikes come again, clip gradients or lower the learning rate"
    return f"{look}; clip gradients, or lower the learning rate from {context.lr:.3g} to {rounded(0.3 * context.lr)}"


def offers(_found: Evidence, _context: RunContext) -> tuple[Action, ...]:
    return Action("checkpoint"), Action("lr", {"factor": 0.3})


RULE = Rule(
    name="spike",
    signals=("loss",),
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
