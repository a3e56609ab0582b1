r"""The model evaluates in training mode, or trains in evaluation mode.

Signals       none: the facts evaluates_in_train_mode and trains_in_eval_mode
Formula       evaluates = an evaluation with a loss ran while the model was in training mode;
              trains = all modules have stood in evaluation mode for 5 training steps or more
Fires         either, in a model with dropout or batch normalisation
Evidence      evaluating: 1 if it is the evaluation, 0 if it is the training
Action        Call model.eval() before the validation and model.train() after it.
Quiet on      models that behave the same in both; passes without a loss, as for generated samples; some modules
              frozen in evaluation mode while others train
False alarms  0 of 244 healthy small networks (387,600 steps) in the pilot; structural; Monte Carlo dropout in the
              evaluation is one that only its author can tell: mute it there
Source        the check is by construction

>>> facts = {"evaluates_in_train_mode": True}
>>> check(RunContext(facts=facts, fact_steps={"evaluates_in_train_mode": 40}))["evaluating"]
1
"""

from __future__ import annotations

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import Clock, Evidence, Rule

EVALUATES, TRAINS = "evaluates_in_train_mode", "trains_in_eval_mode"


def check(context: RunContext, *, level: float = 1.0) -> Evidence | None:
    for name in (EVALUATES, TRAINS):
        if context.facts.get(name) is True:
            return Evidence({"evaluating": int(name == EVALUATES)}, first_step=context.fact_steps[name])
    return None


def summary(found: Evidence, _context: RunContext) -> str:
    if found["evaluating"]:
        return (
            f"the evaluation at step {found.first_step} ran in training mode: dropout is on, and batch "
            "normalisation learns from the validation data"
        )
    return (
        f"the model is in evaluation mode while it trains, at the latest since step {found.first_step}: dropout is "
        "off, and batch normalisation keeps its old statistics"
    )


def action(found: Evidence, _context: RunContext) -> str:
    if found["evaluating"]:
        return "Call model.eval() before the validation and model.train() after it"
    return "Call model.train() at the start of each epoch: a validation has left the model in evaluation mode"


RULE = Rule(
    name="wrong-mode",
    signals=(),
    severity=Severity.WARNING,
    summary=summary,
    action=action,
    check=check,
    clock=Clock.FACTS,
    hold=1,
)
