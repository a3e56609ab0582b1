r"""Nearly every step is clipped: the clipping limit, not the gradient, decides how large the steps are.

Signals       grad_norm, grad_norm_applied: before and after clipping, one value a step
Formula       over the newest 200 steps: share = how many were cut by more than 0.1 %;
              cut = median of norm / norm applied;  progress = (start - level) / |start|
Fires         share > 0.5
Evidence      share; cut; norm: the median before clipping; applied: the median after it; progress
Action        Clip at the 90th percentile of the norms, or lower the learning rate in place of the limit.
Quiet on      the first 200 steps; gradients that are clipped in every other step at most
False alarms  info, since a tight limit may be meant; a notice where 90 % are cut; a warning only where these are cut
              to less than a tenth and the loss has not fallen by 20 %: then the limit is what stops the training
Source        Godbole et al. 2023, Deep Learning Tuning Playbook: more than half of the updates clipped is too many

>>> norm, applied = Signal.of(np.full(200, 4.0)), Signal.of(np.full(200, 1.0))
>>> found = check(norm, applied, RunContext(start=2.3, level=1.0))
>>> found["share"], found["cut"]
(1.0, 4.0)
"""

from __future__ import annotations

import numpy as np

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, Clock, Evidence, Rule, Signal, rounded
from monitor.rules.statistics import median

STEPS = 200
SHARE, NEARLY_ALL = 0.5, 0.9
#: What is cut to less than this part, in a run that has not gained that much, is stopped by it.
TENTH, GAINED = 10.0, 0.2


def check(
    grad_norm: Signal, grad_norm_applied: Signal, context: RunContext, *, level: float = 1.0
) -> Evidence | None:
    if len(grad_norm) < STEPS or len(grad_norm_applied) < STEPS:
        return None
    norm, applied = grad_norm.values[-STEPS:], grad_norm_applied.values[-STEPS:]
    share = int(np.count_nonzero(applied < 0.999 * norm)) / STEPS
    if not share > level * SHARE or not np.array_equal(grad_norm.steps, grad_norm_applied.steps):
        return None
    usual, left = median(norm), median(applied)
    cut = usual / left if left > 0 else np.inf
    progress = (context.start - context.level) / abs(context.start) if context.start else np.nan
    severity = Severity.NOTICE if share > NEARLY_ALL else Severity.INFO
    if severity is Severity.NOTICE and cut > TENTH and progress < GAINED:
        severity = Severity.WARNING
    return Evidence(
        {
            "share": share,
            "cut": cut,
            "norm": usual,
            "applied": left,
            "p90": float(np.quantile(norm, 0.9)),
            "progress": progress,
        },
        first_step=int(grad_norm.steps[-STEPS]),
        severity=severity,
    )


def action(found: Evidence, context: RunContext) -> str:
    clip = f"Clip at {rounded(found['p90'])}, which nine of ten norms stay below"
    if context.lr is None:
        return f"{clip}; if that is too much, lower the learning rate instead"
    return (
        f"{clip}; if that is too much, lower the learning rate from {context.lr:.3g} to {rounded(0.3 * context.lr)}"
    )


RULE = Rule(
    name="aggressive-clipping",
    signals=("grad_norm", "grad_norm_applied"),
    severity=Severity.INFO,
    summary="{share:.0%} of the newest 200 gradients were clipped, from {norm:.3g} to {applied:.3g}",
    action=action,
    check=check,
    clock=Clock.STEPS,
    window=STEPS,
    every=40,
    hold=3,
    warm_up=STEPS,
    symptom_of=(*STRUCTURE, "non-finite", "divergence", "exploding-gradient"),
)
