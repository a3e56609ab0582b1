"""Checkpoints: what a training is after a step, written whole or not at all, and loaded in one line.

The layout of the file is in ``docs/reference/interventions.md``. It holds tensors and plain values only, so that
``torch.load(path, weights_only=True)`` reads it.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import random
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from probe import runtime
from probe.commands import Refusal
from probe.errors import ProbeError
from probe.ranks import rank_and_size
from probe.rates import Setting, Settings, want

_log = logging.getLogger("probe")

VERSION = 1
#: How many checkpoints of a run are kept.
KEEP = 3
#: Beside the tensors: the random states, the archive's own index, and some room for what the run file writes.
_SPARE_BYTES = 16 * 1024 * 1024

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    path: Path
    bytes: int
    seconds: float


def folder_of(run_id: str) -> Path:
    """``$BEDSIDE_CHECKPOINTS/RUN_ID``, else ``checkpoints/RUN_ID`` in Bedside's home."""
    if chosen := os.environ.get("BEDSIDE_CHECKPOINTS"):
        return Path(chosen).absolute() / run_id
    return runtime.home() / "checkpoints" / run_id


def write(state: State, folder: Path) -> Written:
    """Write beside the place, sync, rename; then drop the oldest beyond ``KEEP``. Raises :class:`Refusal`."""
    begin = perf_counter()
    unfinished = folder / f".step-{state['step']}.{os.getpid()}.unfinished"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(folder, _bytes(state) + _SPARE_BYTES)
        with unfinished.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        path = _free_name(folder, state["step"])
        unfinished.rename(path)
        _sync(folder)
    except (OSError, RuntimeError) as error:  # torch.save turns some errors of the file into a RuntimeError
        raise Refusal(f"no checkpoint: {getattr(error, 'strerror', None) or error}") from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
    _drop_oldest(folder)
    return Written(path, path.stat().st_size, perf_counter() - begin)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Refusal(f"a checkpoint takes {_size(needed)}; {_size(free)} are free in {folder}")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _bytes(value: object) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(map(_bytes, value.values()))
    return sum(map(_bytes, value)) if isinstance(value, (list, tuple)) else 0


def _free_name(folder: Path, step: int) -> Path:
    path, count = folder / f"step-{step}.pt", 1
    while path.exists():
        count += 1
        path = folder / f"step-{step}.{count}.pt"
    return path


def _sync(folder: Path) -> None:
    """Make the new name last, where folders can be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _drop_oldest(folder: Path) -> None:
    with contextlib.suppress(OSError):
        written = sorted(folder.glob("step-*.pt"), key=lambda path: path.stat().st_mtime_ns)
        for path in written[:-KEEP]:
            path.unlink()


# ------------------------------------------------------------------------------------------- what a training is


def state_of(model: nn.Module, optimizers: Mapping[str, Optimizer], scaler: Any, settings: Settings) -> State:
    """Everything but the random states, with references to the live tensors: to be written before the next step."""
    return {
        "bedside": VERSION,
        "model": unwrapped(model).state_dict(),
        "optimizers": {key: optimizer.state_dict() for key, optimizer in optimizers.items()},
        "schedulers": [
            {"class": type(found).__name__, "optimizer": key, "state": found.state_dict()}
            for key, optimizer in optimizers.items()
            for found in schedulers_of(optimizer)
        ],
        "scalers": [] if scaler is None else [scaler.state_dict()],
        "rates": [
            {"group": group, "factor": setting.factor, "pin": setting.pin} for group, setting in settings.items()
        ],
    }


def unwrapped(model: nn.Module) -> nn.Module:
    """The script's own module, so that a checkpoint loads with and without the wrappers."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if isinstance(model, (nn.parallel.DistributedDataParallel, nn.DataParallel)):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def schedulers_of(optimizer: Optimizer) -> list[LRScheduler]:
    """The schedulers of this optimizer that live in this process, without those that are part of another one.

    Nobody hands them to the probe, so the garbage collector is asked: by exact type, because ``isinstance`` on
    somebody's proxy would run code of theirs.
    """
    kinds = set(_subclasses(LRScheduler))
    found: list[Any] = [each for each in gc.get_objects() if type(each) in kinds and _moves(each, optimizer)]
    parts = {id(part) for each in found for part in getattr(each, "_schedulers", ())}
    return [each for each in found if id(each) not in parts]


def _moves(scheduler: Any, optimizer: Optimizer) -> bool:
    moved = getattr(scheduler, "optimizer", None)
    return moved is optimizer or getattr(moved, "optimizer", None) is optimizer  # Accelerate wraps optimizers


def _subclasses(kind: type[Any]) -> Iterable[type[Any]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _subclasses(child)


def random_state() -> State:
    """The generators that a training draws from; torch's own, and the others where they are loaded."""
    state: State = {"torch": torch.get_rng_state(), "python": random.getstate()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["cuda"] = torch.cuda.get_rng_state_all()
    if (numpy := sys.modules.get("numpy")) is not None:
        kind, keys, *rest = numpy.random.get_state()
        state["numpy"] = [kind, keys.tolist(), *rest]
    return state


def set_random_state(state: State) -> None:
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])
    if "numpy" in state:
        import numpy as np

        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))


# ------------------------------------------------------------------------------------------------------ going on


@dataclass(frozen=True, slots=True)
class Start:
    """Where a loaded checkpoint stands; ``attach(..., resume=start.run_id, step=start.step)`` goes on from there."""

    run_id: str
    name: str
    step: int


def load_checkpoint(
    path: str | os.PathLike[str],
    model: nn.Module,
    optimizer: Optimizer | Mapping[str, Optimizer],
    scheduler: LRScheduler | Sequence[LRScheduler] | None = None,
    scaler: Any = None,
) -> Start:
    """Put a training back to where it was when Bedside wrote this checkpoint, the random generators included.

    Everything is to be made as in the run that wrote it. Raises :class:`ProbeError`, before anything is changed,
    if the file is none of Bedside's or does not go with what it is given.
    """
    state = _read(Path(path))
    optimizers = dict(optimizer) if isinstance(optimizer, Mapping) else {"": optimizer}
    schedulers = list(scheduler) if isinstance(scheduler, Sequence) else [] if scheduler is None else [scheduler]
    _check_model(state, unwrapped(model))
    _check_optimizers(state, optimizers)
    pairs = [*_schedulers_and_states(schedulers, state, optimizers), *_scalers_and_states(scaler, state)]
    unwrapped(model).load_state_dict(state["model"])
    for key, each in optimizers.items():
        each.load_state_dict(state["optimizers"][key])
    for owner, saved in pairs:
        owner.load_state_dict(saved)
    set_random_state(state["random"][min(rank_and_size()[0], len(state["random"]) - 1)])
    settings = {each["group"]: Setting(each["factor"], each["pin"]) for each in state["rates"]}
    want(next(iter(optimizers.values())), settings)
    return Start(state["run_id"], state["name"], state["step"])


def _read(path: Path) -> State:
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ProbeError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # torch.load raises many kinds for a file that is not one of its own
        first_line = str(error).partition("\n")[0]
        raise ProbeError(f"{path} is no checkpoint that can be read: {first_line}") from error
    if not isinstance(state, dict) or "bedside" not in state:
        raise ProbeError(f"{path} was not written by Bedside; load it with torch.load.")
    if state["bedside"] != VERSION:
        raise ProbeError(f"{path} is of version {state['bedside']}; this Bedside reads version {VERSION}.")
    return state


def _check_model(state: State, model: nn.Module) -> None:
    """torch would copy whatever fits before it says what does not."""
    saved, own = state["model"], model.state_dict()
    for name in [*saved, *own]:
        there, here = _shape(saved.get(name)), _shape(own.get(name))
        if there != here and not _is_lazy(own.get(name)):
            raise ProbeError(
                f"The checkpoint is of another model: {name} is {there} in it and {here} in this "
                f"{type(model).__name__}. Make the model as in the run that wrote it."
            )


def _shape(entry: Any) -> str:
    """Of an entry of a state dict; those that a module makes itself may be anything."""
    if entry is None:
        return "missing"
    return str(list(entry.shape)) if isinstance(entry, Tensor) and not _is_lazy(entry) else "there"


def _is_lazy(entry: Any) -> bool:
    """Whether a tensor of a state dict has yet to get its shape, for which the one that is loaded will do."""
    return isinstance(entry, (UninitializedParameter, UninitializedBuffer))


def _check_optimizers(state: State, optimizers: Mapping[str, Optimizer]) -> None:
    if set(optimizers) != set(state["optimizers"]):
        saved = ", ".join(repr(key) for key in state["optimizers"])
        raise ProbeError(f"The checkpoint has the optimizers {saved}; give them under the same names.")
    for key, optimizer in optimizers.items():
        there = [len(group["params"]) for group in state["optimizers"][key]["param_groups"]]
        here = [len(group["params"]) for group in optimizer.param_groups]
        if there != here:
            raise ProbeError(
                f"The checkpoint's {type(optimizer).__name__} has groups of {there} parameters, this one of {here}. "
                "Make the optimizer as in the run that wrote it."
            )


def _schedulers_and_states(
    schedulers: list[Any], state: State, optimizers: Mapping[str, Optimizer]
) -> list[tuple[Any, State]]:
    """Each scheduler with the saved state of its class and optimizer; of equal ones, in the order given."""
    saved, pairs = list(state["schedulers"]), []
    for scheduler in schedulers:
        kind = type(scheduler).__name__
        fits = [each for each in saved if each["class"] == kind and _moves(scheduler, optimizers[each["optimizer"]])]
        if not fits:
            there = ", ".join(each["class"] for each in state["schedulers"]) or "no scheduler"
            raise ProbeError(f"The checkpoint has no {kind} of this optimizer; it has {there}.")
        saved.remove(fits[0])
        pairs.append((scheduler, fits[0]["state"]))
    for each in saved:
        _log.warning("The checkpoint has a %s that was not given as scheduler=; it begins anew.", each["class"])
    return pairs


def _scalers_and_states(scaler: Any, state: State) -> list[tuple[Any, State]]:
    if scaler is not None and scaler.is_enabled() and not state["scalers"]:
        raise ProbeError("The checkpoint has no GradScaler; leave scaler= away.")
    if scaler is None and state["scalers"]:
        _log.warning("The checkpoint has a GradScaler that was not given as scaler=; its scale begins anew.")
    return [(scaler, saved) for saved in state["scalers"]] if scaler is not None else []
