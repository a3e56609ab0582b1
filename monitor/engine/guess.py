"""What a classifier that has learned nothing would reach: the measure of one that should have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from monitor.model import Steps

CLASSIFICATION: Final = ("cross_entropy", "binary_cross_entropy")
#: Fewer targets than this for each class do not tell the label frequencies.
ENOUGH_TARGETS: Final = 10


class Guess(NamedTuple):
    """Losses in nats, None where the objective does not tell."""

    chance: float | None = None  # of holding all classes for equally likely
    trivial: float | None = None  # of always guessing the label frequencies, as far as they are known
    majority: float | None = None  # share of the most frequent class


def guess_from(targets: Steps, facts: Mapping[str, str | float | int | bool | None], named: int) -> Guess:
    """From the targets of each class so far, the facts of the run, and how many classes have a name."""
    seen = int(targets.sum())
    majority = float(targets.max() / seen) if seen else None
    count = class_count(targets, facts, named)
    if count is None:
        return Guess(majority=majority)
    chance = math.log(count)
    if seen < ENOUGH_TARGETS * count or len(targets) > count:
        return Guess(chance, chance, majority)
    share = targets / seen
    share = share[share > 0]
    return Guess(chance, min(chance, float(-(share * np.log(share)).sum())), majority)


def class_count(targets: Steps, facts: Mapping[str, str | float | int | bool | None], named: int) -> int | None:
    """How many classes there are; None where the loss is no mean cross-entropy."""
    objective, classes = facts.get("objective"), facts.get("classes")
    if objective not in CLASSIFICATION or facts.get("reduction") == "sum":
        return None
    count = 2 if objective == "binary_cross_entropy" else classes or len(targets) or named
    return count if isinstance(count, int) and count >= 2 else None
