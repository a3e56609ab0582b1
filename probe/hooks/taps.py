"""The functions of torch that the probe listens at, and who hears what they say.

They are global, a training is not: with two probes in one process, only the one whose model ran forward last is
told. A probe that was forgotten (a notebook cell run again) therefore hears nothing, and costs nothing.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any, Protocol

import torch
from torch import nn
from torch.jit._recursive import create_script_module
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, LRScheduler, SequentialLR
from torch.utils.data.dataloader import DataLoader, _BaseDataLoaderIter

from probe.guard import Guard
from probe.handles import hidden_from, is_traced, uncompiled
from probe.hooks.patches import AnyFunction, Patches, in_place_of

try:
    from torch.amp.grad_scaler import GradScaler
except ImportError:  # torch before 2.3
    from torch.cuda.amp.grad_scaler import GradScaler  # type: ignore[assignment]

#: The losses of ``torch.nn.functional`` that are listened at; older versions of torch lack some.
LOSSES = (
    "cross_entropy",
    "nll_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "kl_div",
    "ctc_loss",
    "gaussian_nll_loss",
    "poisson_nll_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "hinge_embedding_loss",
    "cosine_embedding_loss",
    "margin_ranking_loss",
    "triplet_margin_loss",
)


#: Told that a module is compiled, and what stands for it from now on.
Follow = Callable[[nn.Module, nn.Module], None]


class Listener(Protocol):
    """Who is told. Each method is called under ``guard``; the end of a backward pass only if ``times_stages``."""

    guard: Guard
    skips_losses: bool  # for now the root of the backward pass tells enough

    @property
    def times_stages(self) -> bool: ...
    @property
    def completed(self) -> int: ...

    def loss_called(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None: ...
    def criterion_called(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None: ...
    def criterion_begins(self) -> None: ...
    def backward_begins(self, roots: Any) -> None: ...
    def backward_ends(self) -> None: ...
    def scaled(self, scaler: Any, plain: Any, scaled: Any) -> None: ...
    def scaler_stepped(self, scaler: Any, optimizer: Any, before: int) -> None: ...
    def scheduler_steps(self, scheduler: Any) -> None: ...
    def clip_begins(self, by_norm: bool) -> None: ...
    def clip_ends(self, norm: Any, max_norm: Any) -> None: ...
    def epoch_begins(self, iterator: Any, wait_s: float) -> None: ...
    def batch_loaded(self, iterator: Any, wait_s: float) -> None: ...
    def save_begins(self) -> None: ...
    def save_ends(self) -> None: ...


class Taps:
    """The patched functions. They are put on with the first listener and taken off with the last."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._followers: dict[Listener, Follow] = {}
        self._current: Listener | None = None
        self._patches: Patches | None = None

    def open(self, listener: Listener, namespaces: Iterable[dict[str, Any]], follow: Follow) -> None:
        """Let ``listener`` hear. ``namespaces`` are the attributes of its model, which may hold a loss function.

        ``follow`` is told of each module that is compiled: inside what torch.compile makes of it no hook is called.
        """
        patches = self.put_on()
        patches.rebind(namespaces)
        self._listeners.append(listener)
        self._followers[listener] = follow
        self._current = listener

    def close(self, listener: Listener, namespaces: Iterable[dict[str, Any]]) -> None:
        if listener not in self._listeners:
            return
        self._listeners.remove(listener)
        self._followers.pop(listener, None)
        if self._current is listener:
            self._current = self._listeners[-1] if self._listeners else None
        if self._patches is not None:
            self._patches.restore(namespaces)
            self.put_back()

    def put_on(self) -> Patches:
        """Replace the functions, if that is not done yet. Before anybody listens, for a first step that is to come:

        in ``cross_entropy(model(x), y)`` the loop has the function in its hand before it calls the model.
        """
        if self._patches is None:
            self._patches = self._all()
            self._patches.apply()
        return self._patches

    def put_back(self) -> None:
        """Put the functions back, if nobody listens."""
        if self._patches is not None and not self._listeners:
            self._patches.undo()
            self._patches = None

    def focus(self, listener: Listener) -> None:
        """From here on the taps speak to ``listener``."""
        if self._current is not listener and listener in self._listeners:
            self._current = listener

    def hears(self, function: AnyFunction) -> bool:
        """Whether a function is listened at already."""
        return self._patches is not None and self._patches.covers(function)

    def _heard(self) -> Listener | None:
        """Whom to tell; nobody while torch compiles or traces, and nobody in a forked child."""
        return None if self._current is None or is_traced() else self._current

    def forget(self) -> None:
        """Speak to nobody: this is a forked child, and the training is in its parent."""
        self._listeners, self._followers, self._current = [], {}, None

    def _all(self) -> Patches:
        patches = Patches()
        for name in LOSSES:
            if (loss := getattr(nn.functional, name, None)) is not None:
                patches.function(loss, self._loss(name, loss))
        patches.function(torch.autograd.backward, uncompiled(self._backward(torch.autograd.backward)))
        patches.function(nn.utils.clip_grad_norm_, self._clip(nn.utils.clip_grad_norm_, by_norm=True))
        patches.function(nn.utils.clip_grad_value_, self._clip(nn.utils.clip_grad_value_, by_norm=False))
        patches.function(torch.save, self._save(torch.save))
        patches.function(create_script_module, self._script(create_script_module))
        patches.method(GradScaler, "scale", self._scale)
        patches.method(GradScaler, "step", self._scaler_step)
        for scheduler in (LRScheduler, CosineAnnealingWarmRestarts, SequentialLR):  # each has a step of its own
            patches.method(scheduler, "step", self._scheduler_step)
        if (eval_frame := sys.modules.get("torch._dynamo.eval_frame")) is not None:
            patches.method(eval_frame.OptimizedModule, "__init__", self._compile)
        patches.method(DataLoader, "__iter__", self._loader_iter)
        patches.method(_BaseDataLoaderIter, "__next__", self._loader_next)
        return patches

    def criterion(self, function: AnyFunction) -> Patches:
        """The patch of a criterion that is a plain function: seen wherever a module or the model names it."""

        @functools.wraps(function)
        def criterion(*args: Any, **kwargs: Any) -> Any:
            listener = self._heard()
            if listener is None:
                return function(*args, **kwargs)
            listener.guard.timed("loss", listener.criterion_begins)
            output = function(*args, **kwargs)
            name = getattr(function, "__name__", "criterion")
            listener.guard.timed("loss", listener.criterion_called, name, args, kwargs, output)
            return output

        patches = Patches()
        patches.function(function, criterion)
        return patches

    # ------------------------------------------------------------------------------------------- the replacements

    def _loss(self, name: str, original: AnyFunction) -> AnyFunction:
        @in_place_of(original)
        def loss(*args: Any, **kwargs: Any) -> Any:
            output = original(*args, **kwargs)
            if (listener := self._heard()) is not None and not listener.skips_losses:
                listener.guard.timed("loss", listener.loss_called, name, args, kwargs, output)
            return output

        return loss

    def _backward(self, original: AnyFunction) -> AnyFunction:
        @functools.wraps(original)
        def backward(tensors: Any, *args: Any, **kwargs: Any) -> Any:
            if (listener := self._heard()) is None:
                return original(tensors, *args, **kwargs)
            listener.guard.timed("backward", listener.backward_begins, tensors)
            result = original(tensors, *args, **kwargs)
            if listener.times_stages:
                listener.guard.timed("backward", listener.backward_ends)
            return result

        return backward

    def _clip(self, original: AnyFunction, *, by_norm: bool) -> AnyFunction:
        @functools.wraps(original)
        def clip(parameters: Any, limit: Any, *args: Any, **kwargs: Any) -> Any:
            if (listener := self._heard()) is None:
                return original(parameters, limit, *args, **kwargs)
            listener.guard.timed("clip", listener.clip_begins, by_norm)
            norm = original(parameters, limit, *args, **kwargs)
            listener.guard.timed("clip", listener.clip_ends, norm, limit)
            return norm

        return clip

    def _save(self, original: AnyFunction) -> AnyFunction:
        @functools.wraps(original)
        def save(*args: Any, **kwargs: Any) -> Any:
            if (listener := self._heard()) is None:
                return original(*args, **kwargs)
            listener.guard.timed("save", listener.save_begins)
            try:
                return original(*args, **kwargs)
            finally:
                listener.guard.timed("save", listener.save_ends)

        return save

    def _script(self, original: AnyFunction) -> AnyFunction:
        @functools.wraps(original)
        def create_script_module(module: Any, *args: Any, **kwargs: Any) -> Any:
            with hidden_from(module):
                return original(module, *args, **kwargs)

        return create_script_module

    def _scale(self, original: AnyFunction) -> AnyFunction:
        @functools.wraps(original)
        def scale(scaler: Any, outputs: Any) -> Any:
            scaled = original(scaler, outputs)
            if scaled is not outputs and (listener := self._heard()) is not None:
                listener.guard.timed("amp", listener.scaled, scaler, outputs, scaled)
            return scaled

        return scale

    def _scaler_step(self, original: AnyFunction) -> AnyFunction:
        @functools.wraps(original)
        def step(scaler: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
            if (listener := self._heard()) is None:
                return original(scaler, optimizer, *args, **kwargs)
            before = listener.completed
            result = original(scaler, optimizer, *args, **kwargs)
            listener.guard.timed("amp", listener.scaler_stepped, scaler, optimizer, before)
            return result

        return step

    def _scheduler_step(self, original: AnyFunction) -> AnyFunction:
        @functools.wraps(original)
        def step(scheduler: Any, *args: Any, **kwargs: Any) -> Any:
            if (listener := self._heard()) is not None:
                listener.guard.timed("scheduler", listener.scheduler_steps, scheduler)
            return original(scheduler, *args, **kwargs)

        return step

    def _compile(self, original: AnyFunction) -> AnyFunction:
        @functools.wraps(original)
        def __init__(optimized: Any, module: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            original(optimized, module, *args, **kwargs)
            for listener, follow in list(self._followers.items()):
                listener.guard.timed("compile", follow, module, optimized)

        return __init__

    def _loader_iter(self, original: AnyFunction) -> AnyFunction:
        @functools.wraps(original)
        def __iter__(loader: Any) -> Any:  # noqa: N807  it stands for the method of that name
            begin = perf_counter()
            iterator = original(loader)
            if (listener := self._heard()) is not None:
                listener.guard.timed("loader", listener.epoch_begins, iterator, perf_counter() - begin)
            return iterator

        return __iter__

    def _loader_next(self, original: AnyFunction) -> AnyFunction:
        @functools.wraps(original)
        def __next__(iterator: Any) -> Any:  # noqa: N807  it stands for the method of that name
            if (listener := self._heard()) is None:
                return original(iterator)
            begin = perf_counter()
            try:
                return original(iterator)
            finally:
                listener.guard.timed("loader", listener.batch_loaded, iterator, perf_counter() - begin)

        return __next__


#: The one set of taps of this process.
taps = Taps()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=taps.forget)
