"""The hooks on one model, its criterion and its optimizers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from probe.handles import Hook, step_hook
from probe.hooks.patches import Patches, module_namespaces
from probe.hooks.taps import Listener, taps


class Watcher(Listener, Protocol):
    """A listener that is also told what its own model and optimizers do."""

    def forward_begins(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None: ...
    def forward_ends(self, output: Any) -> None: ...
    def step_begins(self, optimizer: Optimizer) -> None: ...
    def step_ends(self, optimizer: Optimizer) -> None: ...


class Attachments:
    """Everything that one probe has put on; :meth:`remove` takes off all of it, also what was half put on."""

    def __init__(self, watcher: Watcher, model: nn.Module) -> None:
        self._watcher = watcher
        self._namespaces: list[dict[str, Any]] = [module.__dict__ for module in model.modules()]
        self._handles: list[RemovableHandle] = []
        self._criterion: Patches | None = None

    def put_on(
        self, roots: Iterable[nn.Module], optimizers: Iterable[Optimizer], criterion: nn.Module | Any | None
    ) -> None:
        """``roots`` are the modules whose call is one forward pass of the model."""
        for root in roots:
            self._handles.append(root.register_forward_pre_hook(Hook(self._before_forward), with_kwargs=True))
            self._handles.append(root.register_forward_hook(Hook(self._after_forward)))
        for optimizer in optimizers:
            self._handles.append(optimizer.register_step_pre_hook(step_hook(self._before_step)))
            self._handles.append(optimizer.register_step_post_hook(step_hook(self._after_step)))
        taps.open(self._watcher, self._namespaces)
        if isinstance(criterion, nn.Module):
            self._handles.append(criterion.register_forward_pre_hook(Hook(self._before_criterion)))
            self._handles.append(criterion.register_forward_hook(Hook(self._after_criterion), with_kwargs=True))
        elif criterion is not None and not taps.hears(criterion):
            self._criterion = taps.criterion(criterion)
            self._criterion.apply()
            self._criterion.rebind(self._namespaces)

    def remove(self) -> None:
        while self._handles:
            self._handles.pop().remove()
        if self._criterion is not None:
            self._criterion.restore([*module_namespaces(), *self._namespaces])
            self._criterion = None
        taps.close(self._watcher, self._namespaces)

    def _before_forward(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        taps.focus(self._watcher)
        self._watcher.guard.timed("forward", self._watcher.forward_begins, module, args, kwargs)

    def _after_forward(self, _module: nn.Module, _args: Any, output: Any) -> None:
        self._watcher.guard.timed("forward", self._watcher.forward_ends, output)

    def _before_criterion(self, _module: nn.Module, _args: Any) -> None:
        self._watcher.guard.timed("loss", self._watcher.criterion_begins)

    def _after_criterion(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        watcher = self._watcher
        watcher.guard.timed("loss", watcher.criterion_called, type(module).__name__, args, kwargs, output)

    def _before_step(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        self._watcher.guard.timed("step", self._watcher.step_begins, optimizer)

    def _after_step(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        self._watcher.guard.timed("step", self._watcher.step_ends, optimizer)
