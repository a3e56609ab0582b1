"""Two histories of one run, compared scalar for scalar: of each series steps and values, float64[2, n]."""

from __future__ import annotations

import numpy as np
import toy_trainer
from toy_run import ToyRun, points

from monitor.record.runfile import read_run
from probe import wire


def trained(last: int) -> dict[str, np.ndarray]:
    """What the toy trainer has trained, from its own formula."""
    steps = range(1, last + 1)
    return {key: np.array([steps, [toy_trainer.value(key, step) for step in steps]]) for key in toy_trainer.KEYS}


def recorded(toy_run: ToyRun) -> dict[str, np.ndarray]:
    """Every series of the run file, as a viewer's ``shown`` has them."""
    messages = list(read_run(toy_run.file()))
    keys = dict.fromkeys(key for message in messages if isinstance(message, wire.Batch) for key in message.scalars)
    return {key: np.stack(points(messages, key)) for key in keys}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """Scalar for scalar."""
    assert sorted(one) == sorted(other)
    for key, values in one.items():
        np.testing.assert_array_equal(values, other[key], err_msg=key)
