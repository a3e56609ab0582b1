"""A probe that is put on in front of the first training step of a script that has no line for it.

While an optimizer waits for its first step, every call of a module is looked at: the first one with gradients, of a
module that owns what the optimizer moves, is the beginning of that step. A loop that calls no module is noticed when
its first step is over.
"""

from __future__ import annotations

import functools
import logging
import threading
import weakref
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from probe.hooks.taps import taps
from probe.zero.boundary import StepEnd

_log = logging.getLogger("probe")


class FirstStep:
    """Waits for each training of a script, one after the other.

    A probe is put on in the training thread; what goes wrong there costs a line in the log, and training goes on.
    """

    def __init__(self) -> None:
        self._waiting: list[weakref.ref[Optimizer]] = []
        self._foreign: weakref.WeakValueDictionary[int, nn.Module] = weakref.WeakValueDictionary()
        self._lock = threading.RLock()
        self._init: Any = None
        self._call: Any = None
        self._end: StepEnd | None = None

    def wait(self) -> None:
        """From now on. In any thread."""
        original = self._original_init = Optimizer.__dict__["__init__"]

        @functools.wraps(original)
        def __init__(optimizer: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807  it stands for that method
            original(optimizer, *args, **kwargs)
            self._made(optimizer)

        self._init = __init__
        setattr(Optimizer, "__init__", __init__)  # noqa: B010  a method, which mypy holds for fixed

    def stop(self) -> None:
        """Wait no longer. In any thread."""
        with self._lock:
            self._rest()
            self._waiting.clear()
            taps.put_back()
            if Optimizer.__dict__["__init__"] is self._init:
                setattr(Optimizer, "__init__", self._original_init)  # noqa: B010

    def _made(self, optimizer: Optimizer) -> None:
        with self._lock:
            self._waiting.append(weakref.ref(optimizer))
            self._foreign.clear()
            taps.put_on()
            if self._call is None:
                self._watch_calls()
            if self._end is None:
                self._end = StepEnd(self._is_waiting, lambda _: self._begin())
                self._end.wait()

    def _is_waiting(self, optimizer: Optimizer) -> bool:
        return any(reference() is optimizer for reference in self._waiting)

    def _watch_calls(self) -> None:
        original = self._original_call = nn.Module.__dict__["__call__"]

        def __call__(module: nn.Module, *args: Any, **kwargs: Any) -> Any:  # noqa: N807  it stands for that method
            if not torch.compiler.is_compiling() and torch.is_grad_enabled() and id(module) not in self._foreign:
                self._called(module)
            return original(module, *args, **kwargs)

        self._call = __call__
        setattr(nn.Module, "__call__", __call__)  # noqa: B010

    def _called(self, module: nn.Module) -> None:
        """A module is called with gradients enabled; the first of these that fits is the outermost one."""
        with self._lock:
            moved = {id(p) for optimizer in self._optimizers() for g in optimizer.param_groups for p in g["params"]}
            if any(id(p) in moved for p in module.parameters()):
                self._ignore_calls()
                self._begin()
            else:
                self._foreign[id(module)] = module

    def _begin(self) -> None:
        try:
            from probe.zero import clip  # with the first training, and not with torch

            if not clip.begin(self._optimizers()):
                return
        except Exception as error:  # noqa: BLE001  no line of the script asked for a probe
            _log.warning("Bedside could not put its probe on this training (%s). Training goes on.", error)
        self._waiting.clear()
        self._rest()

    def _optimizers(self) -> list[Optimizer]:
        return [optimizer for reference in self._waiting if (optimizer := reference()) is not None]

    def _ignore_calls(self) -> None:
        if self._call is not None and nn.Module.__dict__["__call__"] is self._call:
            setattr(nn.Module, "__call__", self._original_call)  # noqa: B010
        self._call = None

    def _rest(self) -> None:
        """Nobody waits: nothing is on but the look at new optimizers."""
        self._ignore_calls()
        if self._end is not None:
            self._end.cancel()
            self._end = None
