"""Medians with their intervals, and tables that say by each figure whether its bar is met."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Figure(NamedTuple):
    """A median over rounds and the 95 % interval of the medians of resampled rounds."""

    median: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.low:{spec}} to {self.high:{spec}})"

    def plus(self, constant: float) -> Figure:
        return Figure(*(value + constant for value in self))


def figure(rounds: Sequence[float]) -> Figure:
    resampled = np.random.default_rng(0).choice(rounds, (4000, len(rounds)))
    low, high = np.percentile(np.median(resampled, axis=1), [2.5, 97.5])
    return Figure(float(np.median(rounds)), float(low), float(high))


def verdict(measured: float, bar: float) -> str:
    return "met" if measured <= bar else "**missed**"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def say(text: str) -> None:
    """Progress, which is no part of the result."""
    print(text, file=sys.stderr, flush=True)
