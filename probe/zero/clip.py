"""Puts the probe on what was found, and takes it off again, without a word of the script."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from torch import nn
from torch.optim import Optimizer

from probe.probe import Probe, attach
from probe.zero.discover import Training, find, steps_done, together

#: What was put on without the script's knowledge, with its root modules.
_clipped: list[tuple[tuple[nn.Module, ...], Probe]] = []


def clip_on(trainings: Sequence[Training], main: Optimizer, *, name: str | None = None) -> Probe:
    """One probe on these trainings; the steps of ``main`` count. A probe of ours on one of their models goes off.

    Steps are counted on from those that the optimizer's state tells of. Raises ProbeError.
    """
    # What it cannot see is told to those who watch: the script's own streams are the script's.
    logging.getLogger("probe.hidden").setLevel(logging.ERROR)
    model, optimizers = together(trainings)
    in_order = dict(sorted(optimizers.items(), key=lambda each: each[1] is not main))
    roots = tuple(root for training in trainings for root in training.roots)
    for others, run in list(_clipped):
        if any(root is other for root in roots for other in others):
            run.detach()
            _clipped.remove((others, run))
    run = attach(model, in_order, name=name, step=steps_done(main))
    _clipped.append((roots, run))
    return run


def begin(optimizers: Sequence[Optimizer]) -> bool:
    """Put a probe on what these optimizers are about to train; False if no module owns what they move."""
    trainings = find(optimizers).trainings
    if trainings:
        clip_on(trainings, next(iter(trainings[0].optimizers.values())))
    return bool(trainings)
