r"""Parameters that are meant to be trained are not: no optimizer has them, or no gradient reaches them.

Signals       layer_grad_norm, act_std: of every layer, the newest probes; the facts ungrouped_parameters and
              ungrouped_layers
Formula       ungrouped = trainable numbers in no parameter group that nobody else changes;
              cut = layers with parameters to be trained that ran in 5 probes in a row and had no gradient in any
Fires         ungrouped > 0, or any layer is cut off while another has a gradient
Evidence      parameters: how many numbers are in no group; layers: how many are cut off
Action        Add the parameters to the optimizer, or set requires_grad to False; or look for a detach().
Quiet on      frozen layers (requires_grad False); parameters that a second optimizer changes; layers that did not run
              (experts); several optimizers. A notice only, if what is in no group has no gradient either (features
              taken under no_grad below a head that is trained), or if the first layer is not cut off (unused heads)
False alarms  0 of 244 healthy small networks (387,600 steps) in the pilot; structural
Source        the check is by construction; 5 probes are chosen

>>> facts = {"ungrouped_parameters": 40, "ungrouped_layers": "conv"}
>>> context = RunContext(facts=facts, fact_steps={"ungrouped_parameters": 2}, layers=("conv", "head"))
>>> none = Signal.of(np.empty((0, 2)))
>>> found = check(none, none, context)
>>> found["parameters"], found.where
(40, ('conv',))
"""

from __future__ import annotations

import numpy as np

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import Clock, Evidence, Gate, Rule, Signal, listed

PROBES = 5


def check(
    layer_grad_norm: Signal,
    act_std: Signal,
    context: RunContext,
    *,
    level: float = 1.0,
) -> Evidence | None:
    ungrouped = context.facts.get("ungrouped_parameters")
    if isinstance(ungrouped, int | float) and ungrouped > 0:
        where = tuple(named(context).partition(" and ")[0].split(", "))
        has_gradient = not len(layer_grad_norm) or np.isfinite(gradients_of(where, layer_grad_norm, context)).any()
        return Evidence(
            {"parameters": int(ungrouped), "layers": 0},
            first_step=context.fact_steps["ungrouped_parameters"],
            severity=Severity.WARNING if has_gradient else Severity.NOTICE,
            where=where,
        )
    cut = cut_off(layer_grad_norm, act_std, context)
    if not cut:
        return None
    first = next(name for name, can_train in zip(context.layers, context.trainable, strict=False) if can_train)
    return Evidence(
        {"parameters": 0, "layers": len(cut)},
        first_step=int(layer_grad_norm.steps[-PROBES]),
        severity=Severity.WARNING if first in cut else Severity.NOTICE,
        where=cut,
    )


def named(context: RunContext) -> str:
    """The layers in no group, as the probe names them: up to five, and how many more."""
    return str(context.facts.get("ungrouped_layers") or "")


def gradients_of(names: tuple[str, ...], layer_grad_norm: Signal, context: RunContext) -> list[float]:
    newest = dict(zip(context.layers, layer_grad_norm.values[-1].tolist(), strict=False))
    return [newest.get(name, np.nan) for name in names]


def cut_off(layer_grad_norm: Signal, act_std: Signal, context: RunContext) -> tuple[str, ...]:
    """The layers that ran, are to be trained, and had no gradient in any probe of the window."""
    if min(len(layer_grad_norm), len(act_std)) < PROBES or len(context.trainable) != layer_grad_norm.values.shape[1]:
        return ()
    has_gradient = np.isfinite(layer_grad_norm.values[-PROBES:])
    ran = np.isfinite(act_std.values[-PROBES:]).all(axis=0)
    cut = np.array(context.trainable) & ran & ~has_gradient.any(axis=0)
    if not has_gradient.all(axis=0).any():
        return ()
    return tuple(name for name, is_cut in zip(context.layers, cut, strict=False) if is_cut)


def summary(found: Evidence, context: RunContext) -> str:
    if found["parameters"]:
        return f"{found['parameters']:,} trainable parameters are in no optimizer, those of {named(context)}"
    return f"no gradient has reached {listed(found.where)} since step {found.first_step}"


def action(found: Evidence, context: RunContext) -> str:
    if found["parameters"]:
        return f"Give those of {named(context)} to the optimizer, or set requires_grad_(False) if they are to stay"
    return f"Look for a detach(), .data, .item() or no_grad() between {listed(found.where)} and the loss"


RULE = Rule(
    name="frozen-parameters",
    signals=("layer_grad_norm", "act_std"),
    severity=Severity.WARNING,
    summary=summary,
    action=action,
    check=check,
    clock=Clock.LAYERS,
    window=8,
    hold=1,
    quiet=Gate.ADVERSARIAL,
    symptom_of=("non-finite",),
)
