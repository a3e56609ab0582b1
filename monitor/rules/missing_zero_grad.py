r"""The gradients of the step before are still there when the next backward pass begins, and add up for ever.

Signals       none: the fact gradients_kept, which the probe finds by looking at the gradients themselves
Formula       kept = at the first backward pass of 3 steps that were looked at in a row, gradients of the step before
              were not zero; the first 10 steps are looked at, then each 100th
Fires         kept
Evidence      steps: how many looks in a row
Action        Call optimizer.zero_grad() before each backward pass.
Quiet on      several backward passes a step (accumulation); zero_grad wherever it stands; gradients set to None;
              several optimizers, of which one clears only after the other's pass has added to its gradients
False alarms  0 of 244 healthy small networks (387,600 steps) in the pilot; structural, no threshold on a number
Source        PyTorch's optimizers add to .grad; the check is by construction

>>> check(RunContext(facts={"gradients_kept": True}, fact_steps={"gradients_kept": 4})).first_step
4
"""

from __future__ import annotations

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import Clock, Evidence, Rule, stop_only

LOOKS = 3


def check(context: RunContext, *, level: float = 1.0) -> Evidence | None:
    if context.facts.get("gradients_kept") is not True:
        return None
    return Evidence({"steps": LOOKS}, first_step=context.fact_steps["gradients_kept"])


RULE = Rule(
    name="missing-zero-grad",
    signals=(),
    severity=Severity.CRITICAL,
    summary="gradients are never cleared: each backward pass adds to those of all steps before",
    action="Call optimizer.zero_grad() before each backward pass, and start again",
    offers=stop_only,
    check=check,
    clock=Clock.FACTS,
    hold=1,
)
