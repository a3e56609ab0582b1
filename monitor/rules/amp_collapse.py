r"""Mixed precision does not hold: the loss scale has fallen to nothing, or steps are skipped again and again.

Signals       amp_scale, amp_skipped: one value a completed step; the second counts the skipped steps so far
Formula       over the newest 200 completed steps: skips = rise of the count;  run = its largest rise between two
              completed steps;  rate = skips / (200 + skips)
Fires         scale <= 1, or run > 3 within the newest 16, or rate > 5 %
Evidence      scale: the newest; skips; rate; run
Action        Use bfloat16, which needs no scale; else lower the learning rate or clip the gradients.
Quiet on      the first 224 steps: a scaler starts with 65536 and finds its scale by skipping; a skip each 2000 steps,
              by which it tries a larger one
False alarms  none on scalers at work: GradScaler skips one step in 2000, 0.05 %
Source        Micikevicius et al. 2018, arXiv:1710.03740; DeepSpeed and torch.amp.GradScaler for what is usual

>>> scale, skipped = Signal.of(np.full(200, 4096.0)), Signal.of(np.repeat(np.arange(20.0), 10))
>>> check(scale, skipped, RunContext())["skips"]
19.0
"""

from __future__ import annotations

import numpy as np

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, Clock, Evidence, Rule, Signal, rounded
from monitor.rules.statistics import smallest

STEPS, RECENT = 200, 16
MIN_SCALE, MAX_RATE, MAX_RUN = 1.0, 0.05, 3


def check(amp_scale: Signal, amp_skipped: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    if len(amp_scale) < STEPS or len(amp_skipped) < STEPS:
        return None
    if amp_skipped.values[0] == amp_skipped.values[-1] and smallest(amp_scale.values) > MIN_SCALE / level:  # cheap
        return None
    rises = np.diff(amp_skipped.values[-STEPS:])
    skips, run = float(rises.sum()), float(rises[-RECENT:].max())
    scale, rate = float(amp_scale.values[-1]), skips / (STEPS + skips)
    fallen = scale <= MIN_SCALE / level and amp_scale.values.max() > MIN_SCALE
    if not (fallen or run > level * MAX_RUN or rate > level * MAX_RATE):
        return None
    first = np.flatnonzero(rises > 0)
    at = int(first[0]) if first.size else 0
    return Evidence(
        {"scale": scale, "skips": skips, "rate": rate, "run": run},
        first_step=int(amp_skipped.steps[-STEPS:][at + 1]),
    )


def summary(found: Evidence, context: RunContext) -> str:
    return (
        f"AMP has skipped {found['skips']:.0f} steps ({found['rate']:.0%}) while {STEPS} were made; "
        f"the loss scale is {found['scale']:.3g}"
    )


def action(found: Evidence, context: RunContext) -> str:
    if context.lr is None:
        return "Use bfloat16, or lower the learning rate and clip gradients"
    return f"Use bfloat16; else lower the learning rate from {context.lr:.3g} to {rounded(0.3 * context.lr)}"


RULE = Rule(
    name="amp-collapse",
    signals=("amp_scale", "amp_skipped"),
    severity=Severity.WARNING,
    summary=summary,
    action=action,
    check=check,
    clock=Clock.STEPS,
    window=STEPS,
    every=RECENT,
    hold=1,
    warm_up=224,
    symptom_of=(*STRUCTURE, "non-finite", "divergence", "exploding-gradient"),
)
