"""Lines that a training printed: every ``name: number`` in them, whatever stands around it.

A line without a step or an epoch belongs to the last one that was named. Where a line speaks of validation, its
plain ``loss`` is that of the validation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from monitor.feeds.imports.columns import ALIASES, SERIES, plain

#: A name of one word, or of two if the second says what it is; then a colon, an equals sign or a space; a number.
PAIR: Final = re.compile(
    r"""(?P<name>[a-z][\w/@.-]*(?:\ (?:loss|acc|accuracy|rate|norm))?)
        ['"]?\s*(?:[:=]\s*|\s)\s*[\[('"]*\s*
        (?P<value>[-+]?(?:\d+(?:\.\d*)?(?:e[-+]?\d+)?|\.\d+|nan|inf(?:inity)?))(?![\w.])""",
    re.IGNORECASE | re.VERBOSE,
)
VALIDATION: Final = re.compile(r"\b(?:val|valid|validation|eval|evaluation|test|dev)\b", re.IGNORECASE)
PLACES: Final = {alias: ours for ours in ("step", "epoch") for alias in ALIASES[ours]} | {"iters": "step"}
LOSSES: Final = {*ALIASES["loss"], *ALIASES["val_loss"]}
KNOWN: Final = {alias for ours in SERIES for alias in ALIASES[ours]}
#: What is searched for a loss, in characters.
HEAD: Final = 1 << 20


def says_losses(text: str) -> bool:
    """Whether at least two of the first lines give a loss as ``name: number``, and it is no JSON."""
    if text.lstrip().startswith('{"'):
        return False
    lines = text[:HEAD].splitlines()
    return sum(any(name in LOSSES for name, _ in pairs(line)) for line in lines) >= 2


def printed_rows(text: str) -> Iterator[dict[str, Any]]:
    """A row for each line that says something that rules look at."""
    place: dict[str, str] = {}
    for line in text.splitlines():
        found = dict(reversed(pairs(line)))  # of several of one name the first: the later ones are averages
        place |= {PLACES[name]: value for name, value in found.items() if name in PLACES}
        if VALIDATION.search(line) and not any(name.startswith(("train", "val_", "eval_")) for name in found):
            found = {f"val_{name}" if name in ("loss", "acc", "accuracy") else name: v for name, v in found.items()}
        if found.keys() & KNOWN:
            yield {**place, **{name: value for name, value in found.items() if name not in PLACES}}


def pairs(line: str) -> list[tuple[str, str]]:
    """The names, made plain, and the numbers of a line.

    >>> pairs("Epoch [3/90], Step [100/500], Loss: 0.53 (avg 0.61), lr=1e-3, 20ms")
    [('epoch', '3'), ('step', '100'), ('loss', '0.53'), ('avg', '0.61'), ('lr', '1e-3')]
    """
    return [(plain(match["name"]), match["value"]) for match in PAIR.finditer(line)]
