"""Whether a batch holds a fair mixture of the classes.

What   ``labels/entropy``: of the shares of the classes among a step's targets; ``labels/distinct_frac``: how many of
       the classes occur among them
Unit   nats; share 0 to 1
Cost   none on the device beside the class counts; a logarithm a class, in the sender's thread
When   the first 50 steps and the detailed ones, where class counts are taken (see ``classes.py``)
Keys   labels/entropy, labels/distinct_frac
"""

from __future__ import annotations

import math

from torch import Tensor

from probe.host import Found, Reading

#: Steps at the start on each of which labels are looked at; sorted data show in the mean over so many.
FIRST_STEPS = 50


def label_mixture(counts: Tensor) -> Reading:
    """Of the targets in the class counts ``int64[3, classes]``; nothing where nothing was counted."""

    def interpret(lists: list[list[float]]) -> Found:
        present = [count for count in lists[0] if count]
        total = sum(present)
        if not total:
            return Found()
        entropy = math.log(total) - sum(count * math.log(count) for count in present) / total
        return Found(scalars={"labels/entropy": entropy, "labels/distinct_frac": len(present) / len(lists[0])})

    return Reading([counts[1]], interpret)
