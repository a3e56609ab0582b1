r"""A loss that applies softmax (or sigmoid) itself is given probabilities: small gradients and a high floor.

Signals       none: the fact probabilities_into, which names the loss
Formula       into cross_entropy: rows >= 0 with a sum of 1 +- 0.001, at 2 looks in a row; into
              binary_cross_entropy_with_logits: all values in 0..1, at each look for 90 steps;
              floor = ln(e + K - 1) - 1 for K classes, -ln(sigmoid(1)) for the binary loss
Fires         either of them
Evidence      floor: the least loss that can be reached for a class
Action        Give the loss the logits: take the softmax or sigmoid out of the model.
Quiet on      log-probabilities, of which log-softmax changes nothing; probabilities as targets; a single class
False alarms  0 of 244 healthy small networks (387,600 steps) in the pilot. With 5 looks in place of 90 steps 2 GANs
              of the zoo's held-out part rang: the 90 were asked for because of them
Source        the floor: softmax of a one-hot row gives its class e / (e + K - 1)

>>> facts = {"probabilities_into": "cross_entropy", "classes": 10}
>>> found = check(RunContext(facts=facts, fact_steps={"probabilities_into": 2}))
>>> round(found["floor"], 4), found.first_step
(1.4612, 2)
"""

from __future__ import annotations

import math

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import Clock, Evidence, Rule, stop_only

#: What a binary loss has already applied, by the loss that applies it again.
LAYER = {"cross_entropy": "softmax", "binary_cross_entropy_with_logits": "sigmoid"}


def check(context: RunContext, *, level: float = 1.0) -> Evidence | None:
    into = context.facts.get("probabilities_into")
    if not into:
        return None
    classes = context.facts.get("classes")
    floor = -math.log(1 / (1 + math.exp(-1)))
    if into == "cross_entropy":
        floor = math.log(math.e + classes - 1) - 1 if isinstance(classes, int) else math.nan
    return Evidence({"floor": floor}, first_step=context.fact_steps["probabilities_into"])


def summary(found: Evidence, context: RunContext) -> str:
    into = str(context.facts.get("probabilities_into"))
    floor = "" if math.isnan(found["floor"]) else f", so its loss cannot come below {found['floor']:.2f}"
    return f"{into} is given probabilities and applies its {LAYER.get(into, 'softmax')} a second time{floor}"


def action(_found: Evidence, context: RunContext) -> str:
    into = str(context.facts.get("probabilities_into"))
    return f"Give {into} the logits: take the {LAYER.get(into, 'softmax')} out of the model, and start again"


RULE = Rule(
    name="double-softmax",
    signals=(),
    severity=Severity.CRITICAL,
    summary=summary,
    action=action,
    offers=stop_only,
    check=check,
    clock=Clock.FACTS,
    hold=1,
)
