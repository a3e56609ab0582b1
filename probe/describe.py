"""Who is training what: the Hello of a run."""

from __future__ import annotations

import os
import platform
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import time
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from probe import job, wire
from probe.collectors import LayerRef, Subject
from probe.collectors.learning_rate import group_names
from probe.ranks import rank_and_size
from probe.version import __version__


def layers_of(model: nn.Module) -> tuple[LayerRef, ...]:
    """The modules that own parameters themselves, in the order of ``named_modules()``.

    A parameter that several modules share belongs to the first. The prefixes of DistributedDataParallel and of
    torch.compile are left out of the names.
    """
    seen: set[int] = set()
    layers: list[LayerRef] = []
    for name, module in model.named_modules():
        own = tuple(p for p in module.parameters(recurse=False) if id(p) not in seen)
        seen.update(id(p) for p in own)
        if own:
            parts = [part for part in name.split(".") if part not in ("_orig_mod", "")]
            if parts and parts[0] == "module" and isinstance(model, nn.parallel.DistributedDataParallel):
                parts = parts[1:]
            layers.append(LayerRef(".".join(parts) or type(module).__name__, module, own))
    return tuple(layers)


def hello(
    subject: Subject,
    *,
    name: str | None,
    classes: Sequence[str] | None,
    config: Mapping[str, Any] | None,
    total_steps: int | None,
    every: int,
    step: int,
    control: list[str],
    resumes: str,
    on_alert: dict[str, wire.Action],
    endpoint: str,
    insecure: bool,
) -> wire.Hello:
    parameters = [p for layer in subject.layers for p in layer.parameters]
    script = _script()
    rank, world_size = rank_and_size()
    if world_size == 1:  # what torchrun says of a group that is yet to be made
        rank, world_size = _integer("RANK", 0), _integer("WORLD_SIZE", 1)
    return wire.Hello(
        schema=wire.SCHEMA_VERSION,
        run_id=job.run_id(),
        name=name or (Path(script).stem if script else type(subject.model).__name__.lower()),
        started_s=time(),
        host=socket.gethostname(),
        pid=os.getpid(),
        rank=rank,
        world_size=world_size,
        device=str(parameters[0].device),
        script=script,
        interpreter=sys.executable or "",
        versions=_versions(),
        model=type(subject.model).__name__,
        optimizer=", ".join(dict.fromkeys(type(o).__name__ for o in subject.optimizers.values())),
        layers=[_layer(layer) for layer in subject.layers],
        groups=_groups(subject.optimizers),
        classes=[str(label) for label in classes or ()],
        config=plain(dict(config or {})),
        total_steps=total_steps,
        every=every,
        first_step=step,
        control=control,
        resumes=resumes,
        on_alert=on_alert,
        endpoint=endpoint,
        insecure=insecure,
    )


def plain(value: Any) -> Any:
    """A configuration as the wire can carry it; what is no number, text or container is told as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, (bool, float, str)):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    return str(value)


def _layer(layer: LayerRef) -> wire.Layer:
    return wire.Layer(
        name=layer.name,
        kind=type(layer.module).__name__,
        parameters=sum(p.numel() for p in layer.parameters),
        trainable=any(p.requires_grad for p in layer.parameters),
    )


def _groups(optimizers: dict[str, Optimizer]) -> list[wire.Group]:
    return [
        wire.Group(name=name, optimizer=type(optimizer).__name__, parameters=sum(p.numel() for p in group["params"]))
        for name, group, optimizer in group_names(optimizers)
    ]


def _script() -> str:
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return str(Path(script).absolute()) if script else ""


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "torch": str(torch.__version__), "bedside": __version__}
    if torch.version.cuda:
        versions["cuda"] = torch.version.cuda
    return versions


def _integer(variable: str, default: int) -> int:
    try:
        return int(os.environ.get(variable, ""))
    except ValueError:
        return default
