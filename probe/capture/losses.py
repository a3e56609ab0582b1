"""One call of a loss function: which term it is, its value, and what the targets say about the classes."""

from __future__ import annotations

import functools
import inspect
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from probe.collectors import Subject
from probe.collectors.classes import count_binary, count_categories
from probe.host import Number, number

#: What kind of problem a loss function poses: the fact ``objective``.
OBJECTIVES = {
    "cross_entropy": "cross_entropy",
    "nll_loss": "nll",
    "binary_cross_entropy": "binary_cross_entropy",
    "binary_cross_entropy_with_logits": "binary_cross_entropy",
    "mse_loss": "mse",
    "l1_loss": "l1",
}

#: Arguments that make another term of the same function. A tensor counts as given, whatever it holds.
_SETTINGS = frozenset({"reduction", "label_smoothing", "weight", "pos_weight", "beta", "delta", "log_target", "full"})

#: The key under which a call is remembered at its node of the autograd graph. The graph itself is not held.
NODE_KEY = "bedside"


class Term(NamedTuple):
    """A loss term: two calls with equal terms may be compared."""

    name: str
    settings: tuple[object, ...] = ()


@dataclass(slots=True)
class LossCall:
    term: Term
    value: Number  # the mean over the batch, or the sum if the call asked for that
    samples: int
    is_sum: bool = False
    is_scaled: bool = False  # the model has divided it by a constant before returning it
    counts: Tensor | None = None  # int64[3, classes], or of an evaluation the pairs that they are sums of


class _Signature(NamedTuple):
    positions: dict[str, int]
    settings: tuple[tuple[str, object], ...]  # name, default


@functools.cache
def _signature(name: str) -> _Signature:
    parameters = inspect.signature(getattr(nn.functional, name)).parameters
    settings = tuple((p, parameters[p].default) for p in parameters if p in _SETTINGS)
    return _Signature({parameter: position for position, parameter in enumerate(parameters)}, settings)


def read_loss(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor, *, count: bool, pairs: bool = False
) -> LossCall:
    """A call of ``torch.nn.functional.NAME``; ``count`` asks for the class counts, as ``pairs`` of an evaluation."""
    signature = _signature(name)
    if args:
        kwargs = {**dict(zip(signature.positions, args, strict=False)), **kwargs}
    values, target = kwargs.get("input"), kwargs.get("target")
    given = tuple([kwargs.get(setting, default) for setting, default in signature.settings])
    counts = None
    if count and isinstance(values, Tensor) and isinstance(target, Tensor):
        counts = _counts(name, values, target, kwargs.get("ignore_index", -100), pairs=pairs)
    return LossCall(
        term=Term(name, tuple([isinstance(value, Tensor) or value for value in given])),
        value=_value(output),
        samples=values.shape[0] if isinstance(values, Tensor) and values.dim() else 1,
        is_sum=kwargs.get("reduction") == "sum",
        counts=counts,
    )


def read_criterion(
    name: str, args: tuple[Any, ...], output: Tensor, inner: list[LossCall], *, count: bool, pairs: bool = False
) -> LossCall:
    """A call of the criterion that ``attach`` was given; ``inner`` are the functional losses that it called."""
    tensors = [value for value in args if isinstance(value, Tensor)]
    counts = next((call.counts for call in inner if call.counts is not None), None)
    if counts is None and count and len(tensors) > 1 and tensors[0].dim() > 1:
        counts = count_categories(tensors[0], tensors[1], -100, pairs=pairs)
    return LossCall(
        term=Term(name, inner[0].term.settings if len(inner) == 1 else ()),
        value=_value(output),
        samples=tensors[0].shape[0] if tensors and tensors[0].dim() else 1,
        is_sum=len(inner) == 1 and inner[0].is_sum,
        counts=counts,
    )


def read_model_loss(output: Tensor, samples: int) -> LossCall:
    """The ``.loss`` that a model returned, as those of Hugging Face do."""
    inner, is_scaled = recall(output.grad_fn)
    is_sum = inner is not None and inner.is_sum
    return LossCall(Term("model_loss"), _value(output), samples, is_sum=is_sum, is_scaled=is_scaled)


def _value(output: Tensor) -> Number:
    """The mean of a loss as it is now: the loop may divide it in place before it is copied from a device."""
    if output.numel() != 1:
        return number(output.detach().float().mean())
    return number(output) if output.is_cpu else output.detach().clone()


def _counts(name: str, values: Tensor, target: Tensor, ignore_index: int, *, pairs: bool = False) -> Tensor | None:
    if name in ("cross_entropy", "nll_loss"):
        return count_categories(values, target, ignore_index, pairs=pairs)
    if name == "binary_cross_entropy_with_logits":
        return count_binary(values, target, 0.0, pairs=pairs)
    return count_binary(values, target, 0.5, pairs=pairs) if name == "binary_cross_entropy" else None


def remember(call: LossCall, output: Tensor) -> None:
    """Leave the call at the node that made the output, where :func:`recall` finds it at backward."""
    node: Any = output.grad_fn
    if node is not None:
        node.metadata[NODE_KEY] = call


#: Nodes that change a loss's scale, type or shape and leave it the same term.
_SCALING = ("DivBackward0", "MulBackward0")
_TRANSPARENT = ("ToCopyBackward0", "MeanBackward0", "ViewBackward0", "SqueezeBackward0", "UnsafeViewBackward0")


def recall(node: Any) -> tuple[LossCall | None, bool]:
    """The call behind the root of a graph, and whether a constant divides or multiplies it on the way."""
    is_scaled = False
    for _ in range(6):
        if node is None:
            break
        if (call := node.metadata.get(NODE_KEY)) is not None:
            return call, is_scaled or call.is_scaled
        inputs = [function for function, _ in node.next_functions if function is not None]
        name = node.name()
        if len(inputs) != 1 or (name not in _SCALING and name not in _TRANSPARENT):
            break
        is_scaled = is_scaled or name in _SCALING
        node = inputs[0]
    return None, is_scaled


#: Nodes at which the losses keep what they were given, and how many nodes are looked at in search of one.
_LOSS_NODES = {
    "NllLossBackward0": "nll_loss",
    "NllLoss2DBackward0": "nll_loss",
    "BinaryCrossEntropyBackward0": "binary_cross_entropy",
    "BinaryCrossEntropyWithLogitsBackward0": "binary_cross_entropy_with_logits",
}
_MAX_NODES = 24


def counts_in(root: Any) -> Tensor | None:
    """The class counts of a loss that was called in a way that cannot be listened at, from the graph of its root.

    A ``functools.partial`` of a loss that was made before ``attach`` is such a way, and so is a scripted function.
    """
    queue = deque([root])
    for _ in range(_MAX_NODES):
        if not queue:
            break
        node = queue.popleft()
        if (name := _LOSS_NODES.get(node.name())) is not None:
            ignore_index = getattr(node, "_saved_ignore_index", 0)
            signed = ignore_index - 2**64 if ignore_index >= 2**63 else ignore_index
            return _counts(name, node._saved_self.detach(), node._saved_target, signed)
        queue.extend(function for function, _ in node.next_functions if function is not None)
    return None


#: Nodes that are looked at in search of a parameter; of a larger graph it is taken for granted that it has one.
_MAX_NODES_TO_PARAMETERS = 256


def is_learned_from(outputs: Iterable[Any], subject: Subject) -> bool:
    """Whether a backward pass from these comes to what the optimizers train, and not only to another model."""
    roots = [output.grad_fn for output in outputs if isinstance(output, Tensor) and output.grad_fn is not None]
    if subject.is_sharded:  # a pass is computed with other tensors than the optimizers'
        return bool(roots)
    groups = [group for optimizer in subject.optimizers.values() for group in optimizer.param_groups]
    trained = {parameter for group in groups for parameter in group["params"]}
    return any(_reaches(root, trained) for root in roots)


def _reaches(root: Any, parameters: Collection[Tensor]) -> bool:
    queue = deque([root])
    for _ in range(_MAX_NODES_TO_PARAMETERS):
        if not queue:
            return False
        node = queue.popleft()
        if node.name() == "torch::autograd::AccumulateGrad" and node.variable in parameters:
            return True
        queue.extend(function for function, _ in node.next_functions if function is not None)
    return True


def is_training_loss(output: Any) -> bool:
    """Whether a gradient can come back through it; a metric computed on the side has none."""
    return isinstance(output, Tensor) and output.requires_grad and torch.is_grad_enabled()
