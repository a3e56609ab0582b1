"""What ``attach`` was given: refused with one line that says what to do, or taken as what it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from probe.errors import ProbeError


def checked(model: object, optimizer: object, every: object, step: object) -> dict[str, Optimizer]:
    if not isinstance(model, nn.Module):
        raise ProbeError(
            f"The model is of type {type(model).__name__}; a torch.nn.Module is needed. "
            "Call probe.attach(model, optimizer) with the module that the loop trains."
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise ProbeError(
            "The model is scripted (torch.jit), and a scripted module takes no hooks. "
            "Train torch.nn.Sequential(model) and call probe.attach with that."
        )
    parameters = list(model.parameters())
    if not parameters:
        raise ProbeError(
            f"This {type(model).__name__} has no parameters, so there is nothing to watch. "
            "Call probe.attach once its layers are in place."
        )
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in parameters):
        raise ProbeError(
            f"This {type(model).__name__} has lazy layers without a shape yet; they must have one. "
            "Run one forward pass before probe.attach."
        )
    optimizers: dict[Any, Any] = dict(optimizer) if isinstance(optimizer, Mapping) else {"": optimizer}
    if not optimizers:
        raise ProbeError(
            'There is no optimizer in the dictionary; give at least one, as in {"g": opt_g, "d": opt_d}.'
        )
    optimizers = {str(key): unwrapped(each) for key, each in optimizers.items()}
    for key, each in optimizers.items():
        _check_optimizer(model, key, each)
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise ProbeError(f"every={every!r}; a whole number of steps, 1 or more, is needed. The default is 10.")
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        raise ProbeError(f"step={step!r}; the number of steps done before, 0 or more, is needed. The default is 0.")
    return optimizers


def check_notify(notify: object) -> None:
    if notify is not None and not isinstance(notify, str):
        raise ProbeError(
            f"notify={notify!r}; a line for the shell is needed, as in notify='mail -s \"$BEDSIDE_ALARM\" me'. It is "
            "run by the recorder, not by the training, so it cannot be a function."
        )


def unwrapped(optimizer: Any) -> Any:
    """The optimizer that does the step: Accelerate's wrapper of one is an Optimizer too, with no hooks of its own."""
    while isinstance(optimizer, Optimizer) and not hasattr(optimizer, "_optimizer_step_post_hooks"):
        optimizer = getattr(optimizer, "optimizer", None)
    return optimizer


def _check_optimizer(model: nn.Module, key: str, optimizer: object) -> None:
    called = f"The optimizer {key!r}" if key else "The optimizer"
    if not isinstance(optimizer, Optimizer):
        raise ProbeError(
            f"{called} is of type {type(optimizer).__name__}; a torch.optim.Optimizer is needed, "
            "or a dictionary of them. A scheduler or an accelerator wrapper holds one as its .optimizer."
        )
    own = {id(p) for p in model.parameters()}
    if not any(id(p) in own for group in optimizer.param_groups for p in group["params"]):
        raise ProbeError(
            f"{called} ({type(optimizer).__name__}) holds none of the parameters of this {type(model).__name__}. "
            "Attach the model that it was made for; one made before model parameters were replaced must be made anew."
        )
