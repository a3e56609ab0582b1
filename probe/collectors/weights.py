"""How large the weights are, and how far a step moves them.

What   ``weight_norm``: the 2-norm of a layer's parameters after the step; ``update_ratio``: the norm of the change
       that the step made over the norm of the weights before it, on at most 1024 elements a parameter. Quantised
       parameters, whose elements are no numbers by themselves, are left out
Unit   the weights' own; none
Cost   the norms of the weights, as those of gradients, and two strided copies of the sampled elements: not whole
       weights, whose copy costs 4 to 16 % of a step
When   step pre-hook (the sample) and post-hook, on detailed steps
Keys   layers: weight_norm, update_ratio
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from probe.collectors.collector import Collector, Moment, Subject, by_layer
from probe.collectors.gradients import norms
from probe.collectors.sampling import sample
from probe.host import Found, Reading


class Weights(Collector):
    name: ClassVar[str] = "weight statistics"
    is_detail: ClassVar[bool] = True
    reads_parameters: ClassVar[bool] = True

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._before: list[Tensor] | None = None

    @cached_property
    def _by_layer(self) -> list[list[Tensor]]:
        """First asked for in a step: a model may be moved, and some are quantised by that, when the probe is on."""
        return [[p for p in layer.parameters if not _is_quantised(p)] for layer in self.subject.layers]

    @cached_property
    def _parameters(self) -> list[Tensor]:
        return [p for parameters in self._by_layer for p in parameters]

    def before_step(self) -> None:
        self._before = [sample(p).clone() for p in self._parameters]

    def collect(self, moment: Moment) -> None:
        if not self._parameters:
            return
        tensors = [norms(self._parameters)]
        if (before := self._before) is not None:
            change = torch._foreach_sub([sample(p) for p in self._parameters], before)
            tensors += [norms(before), norms(list(change))]
            self._before = None
        sizes = [len(parameters) for parameters in self._by_layer]

        def interpret(lists: list[list[float]]) -> Found:
            layers = {"weight_norm": by_layer(lists[0], sizes)}
            if len(lists) > 1:
                weight, change = by_layer(lists[1], sizes), by_layer(lists[2], sizes)
                layers["update_ratio"] = [
                    c / w if w and c is not None else None for w, c in zip(weight, change, strict=True)
                ]
            return Found(layers=layers)

        moment.readings.append(Reading(tensors, interpret))


def _is_quantised(parameter: Tensor) -> bool:
    """Whether its elements are no numbers by themselves: integers, or floats of 8 bits, which go with a scale."""
    return not (parameter.is_floating_point() or parameter.is_complex()) or parameter.element_size() == 1
