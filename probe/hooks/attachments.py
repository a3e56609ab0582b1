"""The hooks on one model, its criterion and its optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
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
    def forward_ends(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None: ...
    def compiled(self) -> None: ...
    def step_begins(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None: ...
    def step_ends(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None: ...


class Rates(Protocol):
    is_in_use: bool


class Boundary(Protocol):
    """What may stop or change the training between two steps. It runs under no clock: a pause is no cost."""

    is_due: bool

    @property
    def rates(self) -> Rates: ...
    def forward_begins(self, module: nn.Module) -> None: ...
    def step_ends(self, optimizer: Optimizer) -> None: ...


class Attachments:
    """Everything that one probe has put on; :meth:`remove` takes off all of it, also what was half put on."""

    def __init__(self, watcher: Watcher, boundary: Boundary, model: nn.Module) -> None:
        self._watcher, self._boundary = watcher, boundary
        self._namespaces: list[dict[str, Any]] = [module.__dict__ for module in model.modules()]
        self._handles: list[RemovableHandle] = []
        self._roots: list[nn.Module] = []
        self._criterion: Patches | None = None

    def put_on(
        self, roots: Iterable[nn.Module], optimizers: Iterable[Optimizer], criterion: nn.Module | Any | None
    ) -> None:
        """``roots`` are the modules whose call is one forward pass of the model."""
        self._roots = list(roots)
        for root in self._roots:
            self._put_on_root(root)
        for optimizer in optimizers:
            before = step_hook(self._guarded("step", self._watcher.step_begins))
            self._handles.append(optimizer.register_step_pre_hook(before))
            after = optimizer.register_step_post_hook(step_hook(self._after_step))
            # First of all post-hooks: the script's own see the schedule's learning rate again.
            hooks: Any = optimizer._optimizer_step_post_hooks  # an OrderedDict, which its annotation does not say
            hooks.move_to_end(after.id, last=False)
            self._handles.append(after)
        taps.open(self._watcher, self._namespaces, self._follow)
        if isinstance(criterion, nn.Module):
            self._handles.append(criterion.register_forward_pre_hook(self._hook("loss", self._before_criterion)))
            called = self._hook("loss", self._after_criterion)
            self._handles.append(criterion.register_forward_hook(called, with_kwargs=True))
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

    def _put_on_root(self, root: nn.Module) -> None:
        # Before the script's own hooks: what stops the training stops it before this pass.
        before = root.register_forward_pre_hook(Hook(self._before_forward), with_kwargs=True, prepend=True)
        after = root.register_forward_hook(self._hook("forward", self._watcher.forward_ends))
        self._handles += [before, after]

    def _follow(self, module: nn.Module, optimized: nn.Module) -> None:
        """A root is compiled after the probe was put on: from now on a forward pass is a call of ``optimized``."""
        if any(module is root for root in self._roots):
            self._put_on_root(optimized)
            self._watcher.compiled()

    def _guarded(self, name: str, body: Callable[..., None]) -> Callable[..., None]:
        return partial(self._watcher.guard.timed, name, body)

    def _hook(self, name: str, body: Callable[..., None]) -> Hook:
        return Hook(self._guarded(name, body))

    def _before_forward(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._boundary.is_due:
            self._boundary.forward_begins(module)
        taps.focus(self._watcher)
        self._watcher.guard.timed("forward", self._watcher.forward_begins, module, args, kwargs)

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self._boundary.is_due or self._boundary.rates.is_in_use:
            self._boundary.step_ends(optimizer)
        self._watcher.guard.timed("step", self._watcher.step_ends, optimizer, args, kwargs)

    def _before_criterion(self, _module: nn.Module, _args: Any) -> None:
        self._watcher.criterion_begins()

    def _after_criterion(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        self._watcher.criterion_called(type(module).__name__, args, kwargs, output)
