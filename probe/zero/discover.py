"""Finds what is being trained in this process: the optimizers, and the root modules that own their parameters.

The namespaces of the running frames come first; they cost a few milliseconds. Where a training is not complete in
them, every object that the garbage collector tracks is looked at: 25 to 110 ms. No user code is run: an object is
asked for nothing but its type, because a proxy answers everything else with code of its own.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from inspect import CO_OPTIMIZED
from types import FrameType, ModuleType
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from probe.arguments import unwrapped

try:
    from torch.amp.grad_scaler import GradScaler
except ImportError:  # torch before 2.3
    from torch.cuda.amp.grad_scaler import GradScaler  # type: ignore[assignment]

#: What is told of a training beside its model and its optimizers: the probe meets these by itself.
_BESIDE = (LRScheduler, GradScaler, DataLoader)
_SOUGHT = (Optimizer, nn.Module, *_BESIDE)
#: Containers of more than that hold data.
_MANY = 1000
#: References to such a dictionary that nobody else holds: the frame's, a variable here, and the count's own.
_UNSHARED = 3
#: Code that names one of these may hold the very dictionary that ``f_locals`` would fill.
_TAKES_ITS_LOCALS = frozenset({"locals", "vars", "dir", "eval", "exec"})


@dataclass(frozen=True)
class Training:
    """Root modules and the optimizers that move their parameters."""

    name: str
    roots: tuple[nn.Module, ...]
    optimizers: dict[str, Optimizer]

    @property
    def model(self) -> nn.Module:
        return self.roots[0] if len(self.roots) == 1 else _held_together([(_kind(root), root) for root in self.roots])

    def __str__(self) -> str:
        models = " and ".join(_kind(root) for root in self.roots)
        count = sum(p.numel() for root in self.roots for p in root.parameters())
        return f"{self.name} ({models}, {count:,} parameters; {', '.join(map(_kind, self.optimizers.values()))})"


@dataclass(frozen=True)
class Found:
    """What a search came to; ``beside`` are the types of the schedulers, scalers and loaders that were met."""

    trainings: tuple[Training, ...]
    beside: tuple[str, ...]
    where: str


def find(optimizers: Iterable[Optimizer] = ()) -> Found:
    """The trainings of this process; of ``optimizers`` only, where any are given."""
    given = tuple(optimizers)
    known = _Objects()
    known.add(given)
    for namespace in namespaces():
        known.name(namespace)
    trainings, is_complete = _trainings(known, given)
    where = "frames"
    if not is_complete:
        where = "gc"
        known.add(gc.get_objects())
        trainings, _ = _trainings(known, given)
    return Found(tuple(trainings), tuple(dict.fromkeys(_kind(each) for each in known.beside)), where)


def together(trainings: Iterable[Training]) -> tuple[nn.Module, dict[str, Optimizer]]:
    """Several trainings as the model and the optimizers of one: the two networks of a GAN, for instance."""
    chosen = list(trainings)
    if len(chosen) == 1:
        return chosen[0].model, chosen[0].optimizers
    model = _held_together([(training.name, training.model) for training in chosen])
    optimizers: dict[str, Optimizer] = {}
    for training in chosen:
        for name, optimizer in training.optimizers.items():
            optimizers[_unique(f"{training.name}.{name}" if name else training.name, optimizers)] = optimizer
    return model, optimizers


def steps_done(optimizer: Optimizer) -> int:
    """The steps that its state tells of, as Adam's does; 0 where it tells nothing, as SGD's."""
    steps = [state["step"] for state in optimizer.state.values() if isinstance(state, dict) and "step" in state]
    if steps and isinstance(steps[0], Tensor) and steps[0].device.type != "cpu":
        steps = steps[:1]  # each would wait for the device
    return max(map(int, steps), default=0)


# --------------------------------------------------------------------------------------------------- the search


class _Objects:
    """What was met so far, each object once and in the order in which it was met."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.optimizers: list[Optimizer] = []
        self.modules: list[nn.Module] = []
        self.beside: list[Any] = []
        self._seen: set[int] = set()
        self._types = {id(kind): top for top in _SOUGHT for kind in _subclasses(top)}

    def name(self, namespace: Mapping[str, Any]) -> None:
        """The values of a namespace under their names, and what the objects among them hold themselves."""
        for name, value in list(namespace.items()):
            if id(type(value)) in self._types:
                if not name.startswith("_") and name != "self":
                    self.names.setdefault(id(value), name)
                self.add((value,))
            elif not isinstance(value, (ModuleType, type, Tensor, str, int, float)):
                self.add(_held_by(value))

    def add(self, objects: Iterable[Any]) -> None:
        types = self._types
        sought: list[Any] = [each for each in objects if id(type(each)) in types]
        for each in sought:
            if id(each) not in self._seen:
                self._seen.add(id(each))
                top = types[id(type(each))]
                if top is Optimizer:
                    self._add_optimizer(each)
                else:
                    (self.modules if top is nn.Module else self.beside).append(each)

    def _add_optimizer(self, optimizer: Any) -> None:
        inner = unwrapped(optimizer)
        if id(inner) in self.names or id(optimizer) in self.names:
            self.names.setdefault(id(inner), self.names.get(id(optimizer), ""))
        if getattr(inner, "param_groups", None) and not any(inner is other for other in self.optimizers):
            self.optimizers.append(inner)


def namespaces() -> Iterator[Mapping[str, Any]]:
    """The locals and globals of every running frame, those of a program's own functions before what they call."""
    seen: set[int] = set()
    for top in list(sys._current_frames().values()):
        for frame in reversed(list(_stack(top))):
            if frame.f_globals.get("__name__", "").partition(".")[0] not in ("probe", "bedside"):
                yield _locals(frame)
                if id(frame.f_globals) not in seen:
                    seen.add(id(frame.f_globals))
                    yield frame.f_globals


def _stack(top: FrameType | None) -> Iterator[FrameType]:
    while top is not None:
        yield top
        top = top.f_back


def _locals(frame: FrameType) -> Mapping[str, Any]:
    """A frame's locals, and no trace of having looked.

    Before Python 3.13 ``f_locals`` fills a dictionary that lives as long as the frame, and with it all that is in
    it. It is the one that ``locals()`` gives, so a function that calls that is left alone, and any other emptied.
    """
    if sys.version_info >= (3, 13) or not frame.f_code.co_flags & CO_OPTIMIZED:
        return frame.f_locals
    if _TAKES_ITS_LOCALS.intersection(frame.f_code.co_names):
        return {}
    shared = frame.f_locals
    own = dict(shared)
    if sys.getrefcount(shared) == _UNSHARED:
        shared.clear()
    return own


def _held_by(value: Any) -> Iterator[Any]:
    """What an object of the training loop holds: a trainer's model, say, or a list of optimizers."""
    if type(value) in (dict, list, tuple, set) and len(value) > _MANY:
        return
    for each in gc.get_referents(value):
        yield each
        if type(each) is dict:  # its attributes
            yield from list(each.values())


def _trainings(known: _Objects, given: tuple[Optimizer, ...]) -> tuple[list[Training], bool]:
    """Each optimizer with its roots; and whether every optimizer that was met has all its parameters in roots."""
    tops = _tops(known.modules)
    by_roots: dict[tuple[int, ...], tuple[tuple[nn.Module, ...], list[Optimizer]]] = {}
    is_complete = bool(known.optimizers)
    for optimizer in given or known.optimizers:
        roots, covers_all = _roots(optimizer, tops)
        is_complete = is_complete and covers_all
        if roots:
            key = tuple(sorted(map(id, roots)))
            by_roots.setdefault(key, (roots, []))[1].append(optimizer)
    trainings: dict[str, Training] = {}
    for roots, optimizers in by_roots.values():
        name = _unique(known.names.get(id(roots[0])) or _kind(roots[0]).lower(), trainings)
        trainings[name] = Training(name, roots, _named(optimizers, known.names))
    return list(trainings.values()), is_complete


def _tops(modules: Iterable[nn.Module]) -> list[tuple[nn.Module, set[int]]]:
    """The modules that are nobody's child, each with the ids of its parameters; those that torch traced come last."""
    met: dict[int, nn.Module] = {}
    rest = list(modules)
    children: set[int] = set()
    while rest:
        module = rest.pop()
        if id(module) not in met:
            met[id(module)] = module
            inner = [child for child in (module.__dict__.get("_modules") or {}).values() if child is not None]
            children.update(map(id, inner))
            rest += inner
    tops = [module for module in modules if id(module) not in children]
    tops.sort(key=lambda module: type(module).__module__.startswith("torch.fx"))
    return [(module, {id(p) for p in module.parameters()}) for module in tops if "_parameters" in module.__dict__]


def _roots(optimizer: Optimizer, tops: list[tuple[nn.Module, set[int]]]) -> tuple[tuple[nn.Module, ...], bool]:
    """The fewest modules that own what the optimizer moves, the largest share first; and whether that is all."""
    missing = {id(p) for group in optimizer.param_groups for p in group["params"]}
    roots: list[nn.Module] = []
    while missing:
        best = max(tops, key=lambda top: len(missing & top[1]), default=None)
        if best is None or not missing & best[1]:
            break
        roots.append(best[0])
        missing -= best[1]
    return tuple(roots), not missing


def _named(optimizers: list[Optimizer], names: Mapping[int, str]) -> dict[str, Optimizer]:
    if len(optimizers) == 1:
        return {"": optimizers[0]}
    named: dict[str, Optimizer] = {}
    for optimizer in optimizers:
        named[_unique(names.get(id(optimizer)) or _kind(optimizer).lower(), named)] = optimizer
    return named


def _held_together(modules: Iterable[tuple[str, nn.Module]]) -> nn.ModuleDict:
    held: dict[str, nn.Module] = {}
    for name, module in modules:
        held[_unique(name.replace(".", "_"), held)] = module
    return nn.ModuleDict(held)


def _unique(name: str, taken: Mapping[str, Any]) -> str:
    number = 2
    unique = name
    while unique in taken:
        unique, number = f"{name}-{number}", number + 1
    return unique


def _kind(value: Any) -> str:
    return type(value).__name__


def _subclasses(kind: type) -> Iterator[type]:
    yield kind
    subclasses: list[type] = type.__subclasses__(kind)
    for each in subclasses:
        yield from _subclasses(each)
