"""Probes that one line of code puts on again and again, and nobody takes off: a notebook's cell, a search's loop.

Whether a training is over cannot be known for sure from within, so it is said and nothing is taken off.
"""

from __future__ import annotations

import linecache
import logging
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Protocol

from probe.collectors import Subject

_log = logging.getLogger("probe")


class Line(Protocol):
    is_open: bool
    place: str
    subject: Subject


class Run(Protocol):
    run_id: str


def place(frame: FrameType | None) -> str:
    """The line of code that attaches; of a notebook's cell its text, as a cell that was changed is another file.

    Nothing for Bedside's own lines: what they have put on is not the script's to take off.
    """
    if frame is None or str(frame.f_globals.get("__name__", "")).startswith("probe."):
        return ""
    file, number = frame.f_code.co_filename, frame.f_lineno
    text = "" if Path(file).exists() else linecache.getline(file, number).strip()
    return text or f"{file}:{number}"


def look(newest: Line, attached: Iterable[tuple[Line, Run]]) -> None:
    """Say it once, at the second open probe of one place on models of one class."""
    kind = type(newest.subject.model).__name__
    earlier = [
        run for line, run in attached
        if line.is_open and line.place == newest.place and type(line.subject.model).__name__ == kind
    ]  # fmt: skip
    if newest.place and len(earlier) == 1:
        _log.warning(
            "An earlier probe on another %s (run %s), put on by the same line of code, is still on and keeps its "
            "model and optimizer in memory; if that training is over, detach() it or attach in a with statement.",
            kind, earlier[0].run_id,
        )  # fmt: skip
