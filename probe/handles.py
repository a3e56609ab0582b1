"""Callables that may live inside somebody else's model, and fall silent in a forked child."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

import torch

_generation = 0


def generation() -> int:
    """Rises by one in every forked child, so that what was put on in the parent knows that it is elsewhere."""
    return _generation


def _in_child() -> None:
    global _generation  # noqa: PLW0603  the one thing that a fork changes
    _generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


class Hook:
    """A hook of a module or an optimizer that a copy of its owner does not inherit.

    ``copy.deepcopy``, ``pickle`` and ``torch.save(model)`` all walk through a module's hooks. A copy of this one is
    a standard-library callable that takes anything and returns ``None``, so a copied model (an EMA, say) reports
    nothing, and a saved one loads where Bedside is not installed. Inside a region that torch compiles it does
    nothing, and so breaks no graph.
    """

    __slots__ = ("_body", "_generation")

    def __init__(self, body: Callable[..., None]) -> None:
        self._body = body
        self._generation = _generation

    def __call__(self, *args: Any) -> None:
        if torch.compiler.is_compiling() or self._generation != _generation:
            return
        self._body(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        return (getattr, (contextlib.nullcontext(), "__exit__"))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return contextlib.nullcontext().__exit__


def step_hook(body: Callable[..., None]) -> Callable[..., None]:
    """A hook that torch.compile leaves alone, so that a step which is compiled whole is still counted.

    Only where Dynamo is loaded already: ``torch.compiler.disable`` would import it, which takes two seconds.
    """
    born = _generation

    def hook(*args: Any) -> None:
        if born == _generation:
            body(*args)

    return uncompiled(hook)


def uncompiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as torch.compile must leave it: called, never traced."""
    disable: Callable[..., Any] = torch.compiler.disable
    return disable(function) if "torch._dynamo" in sys.modules else function
