"""Commands as a person types them, in a shell or on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from monitor.model import Action

#: The commands that take no words.
_PLAIN: Final = ("pause", "resume", "checkpoint", "stop", "interrupt", "undo")


class WordsError(ValueError):
    """What was typed is no command; the message is one line for a person."""


def meant(what: str, words: Sequence[str], *, group: str | None = None, checkpoint: bool | None = None) -> Action:
    """The action that was typed. Raises WordsError."""
    if group is not None and what != "lr":
        raise WordsError("--group goes with lr")
    if checkpoint is not None and what not in ("stop", "interrupt"):
        raise WordsError("--checkpoint and --no-checkpoint go with stop and interrupt")
    if what in _PLAIN:
        if words:
            raise WordsError(f"{what} takes no words; not {' '.join(words)[:40]!r}")
        return Action(what, {} if checkpoint is None else {"checkpoint": checkpoint})
    if what == "note":
        if not words:
            raise WordsError("note needs a text")
        return Action("note", {"text": " ".join(words)})
    if len(words) != 1:
        raise WordsError("lr needs one value: x0.5 or 3e-4" if what == "lr" else "detail needs a number of steps")
    return _rate(words[0], group) if what == "lr" else _detail(words[0])


def _rate(text: str, group: str | None) -> Action:
    """``x0.5``: so many times what the schedule says; ``3e-4``: this, whatever it says."""
    is_factor = text[:1] in ("x", "×")
    try:
        value = float(text[1:] if is_factor else text)
    except ValueError:
        raise WordsError(f"{text[:40]!r} is neither a factor such as x0.5 nor a learning rate such as 3e-4") from None
    args: dict[str, Any] = {"factor" if is_factor else "pin": value}
    return Action("lr", args if group is None else {**args, "group": group})


def _detail(text: str) -> Action:
    if not text.isdecimal():
        raise WordsError(f"{text[:40]!r} is no number of steps")
    return Action("detail", {"steps": int(text)})
