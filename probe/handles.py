"""Callables that may live inside somebody else's model, and fall silent in a forked child."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
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


def is_traced() -> bool:
    """Whether what runs now is no training: torch compiles, records a graph for ``torch.jit``, or transforms."""
    return torch.compiler.is_compiling() or torch._C._is_tracing() or _transform() is not None


try:
    _transform: Callable[[], Any] = torch._C._functorch.peek_interpreter_stack  # of vmap, grad, jvp...
except AttributeError:  # private to torch, and not in each version of it

    def _transform() -> Any:
        return None


class Hook:
    """A hook of a module or an optimizer that a copy of its owner does not inherit.

    ``copy.deepcopy``, ``pickle`` and ``torch.save(model)`` all walk through a module's hooks. A copy of this one is
    a standard-library callable that takes anything and returns ``None``, so a copied model (an EMA, say) reports
    nothing, and a saved one loads where Bedside is not installed. Inside a region that torch compiles or
    traces it does nothing, and so breaks no graph.
    """

    __slots__ = ("_body", "_generation")

    def __init__(self, body: Callable[..., object]) -> None:
        self._body = body
        self._generation = _generation

    def __call__(self, *args: Any) -> None:
        if is_traced() or self._generation != _generation:
            return
        self._body(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        return (getattr, (contextlib.nullcontext(), "__exit__"))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return contextlib.nullcontext().__exit__


@contextlib.contextmanager
def hidden_from(module: torch.nn.Module) -> Iterator[None]:
    """For a while no module in it has a hook of ours: ``torch.jit.script`` would compile them."""
    kinds = [hooks for each in module.modules() for hooks in (each._forward_pre_hooks, each._forward_hooks)]
    before = [(hooks, list(hooks.items())) for hooks in kinds if hooks]
    for hooks, items in before:
        for key, hook in items:
            if isinstance(hook, Hook):
                del hooks[key]
    try:
        yield
    finally:
        for hooks, items in before:
            hooks.clear()
            hooks.update(items)


def step_hook(body: Callable[..., object]) -> Callable[..., None]:
    """A hook that torch.compile leaves alone, so that a step which is compiled whole is still counted."""
    born = _generation

    def hook(*args: Any) -> None:
        if born == _generation:
            body(*args)

    return uncompiled(hook)


def uncompiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as torch.compile must leave it: called, never traced.

    Only where Dynamo is loaded already: ``torch.compiler.disable`` would import it, which takes two seconds. What
    that makes is entered only while Dynamo looks on, which it seldom does: each entry costs as much as the body.
    """
    if "torch._dynamo" not in sys.modules:
        return function
    disable: Callable[..., Any] = torch.compiler.disable
    disabled: Callable[..., Any] = disable(function)
    try:
        from torch._C._dynamo.eval_frame import get_eval_frame_callback
        from torch._dynamo.eval_frame import skip_code
    except ImportError:  # private to torch, and not in each version of it
        return disabled

    def left_alone(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs) if get_eval_frame_callback() is None else disabled(*args, **kwargs)

    skip_code(left_alone.__code__)
    functools.update_wrapper(left_alone, function)
    vars(left_alone)["_torchdynamo_disable"] = True  # what Dynamo asks when it meets a call
    return left_alone
