"""Functions replaced for a while, wherever they are known, and put back."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType, ModuleType
from typing import Any

AnyFunction = Callable[..., Any]


def rebind(replacements: Mapping[Any, AnyFunction], namespaces: Iterable[dict[str, Any]]) -> None:
    """In each namespace, every name that is bound to a key of ``replacements`` is bound to its value.

    ``from torch.nn.functional import cross_entropy`` makes a second name for a function; patching the first alone
    would not be seen there.
    """
    for namespace in namespaces:
        for name, value in list(namespace.items()):
            if type(value) is FunctionType and value in replacements:
                namespace[name] = replacements[value]


def module_namespaces() -> list[dict[str, Any]]:
    """The namespaces of all modules that are loaded. Lazy modules are left asleep."""
    return [module.__dict__ for module in list(sys.modules.values()) if type(module) is ModuleType]


def in_place_of(original: AnyFunction) -> Callable[[AnyFunction], AnyFunction]:
    """Dress a replacement as what it replaces.

    ``torch.jit.script`` compiles the source of a function that it finds by unwrapping, and looks its names up in
    the globals of the wrapper. So the replacement gets those of the original, and must use none of its own.
    """

    def dress(replacement: AnyFunction) -> AnyFunction:
        code, closure = replacement.__code__, replacement.__closure__
        return functools.wraps(original)(FunctionType(code, original.__globals__, closure=closure))

    return dress


class Patches:
    """A set of replacements, put in force by :meth:`apply` and taken back by :meth:`undo`.

    Module-level functions are replaced under all their names; methods on their class only. What somebody else has
    replaced since is left as it is: the replacement there goes on calling the original.
    """

    def __init__(self) -> None:
        self._functions: dict[Any, AnyFunction] = {}
        self._methods: list[tuple[type, str, Any, AnyFunction]] = []

    def function(self, original: AnyFunction, replacement: AnyFunction) -> None:
        self._functions[original] = replacement

    def method(self, owner: type, name: str, wrap: Callable[[AnyFunction], AnyFunction]) -> None:
        original = owner.__dict__[name]
        self._methods.append((owner, name, original, wrap(original)))

    def covers(self, function: AnyFunction) -> bool:
        return function in self._functions or function in self._functions.values()

    def apply(self) -> None:
        self.rebind(module_namespaces())
        for owner, name, _, replacement in self._methods:
            setattr(owner, name, replacement)

    def undo(self) -> None:
        self.restore(module_namespaces())
        for owner, name, original, replacement in self._methods:
            if owner.__dict__.get(name) is replacement:
                setattr(owner, name, original)

    def rebind(self, namespaces: Iterable[dict[str, Any]]) -> None:
        rebind(self._functions, namespaces)

    def restore(self, namespaces: Iterable[dict[str, Any]]) -> None:
        rebind({new: old for old, new in self._functions.items()}, namespaces)
