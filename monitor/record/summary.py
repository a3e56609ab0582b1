"""The end of a run file in a line: where the run stands, without reading the rest."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from monitor.model import Alert, Goodbye, Severity
from monitor.record.runfile import RunFileError, newest_batches, open_file, others
from monitor.rows import points_of, steps_of
from probe import wire

#: What a run is compared by, the first that it has.
_LOSSES = ("val/loss", "train/loss")


@dataclass(frozen=True, slots=True)
class Summary:
    """Where a run stands. ``loss`` is the newest validation loss near its end, else the newest training loss."""

    step: int = 0
    loss: float | None = None
    goodbye: Goodbye | None = None
    alarms: int = 0
    worst: Severity = Severity.WARNING


def summary(path: Path) -> Summary:
    """Of the run file as it is now; read again only when it has changed. An unreadable file is an empty one."""
    try:
        changed = tuple(
            part.stat().st_mtime_ns for part in (path, path.with_name(path.name + "-wal")) if part.exists()
        )
    except OSError:
        return Summary()
    return _summary(path, changed)


@lru_cache(maxsize=256)
def _summary(path: Path, _changed: tuple[int, ...]) -> Summary:
    try:
        db = open_file(path)
    except RunFileError:
        return Summary()
    try:
        batches = newest_batches(db)
        messages = [wire.decode(frame) for frame in others(db)]
    except sqlite3.Error:
        return Summary()
    finally:
        db.close()
    alarms = [m for m in messages if isinstance(m, Alert) and m.is_open and m.severity.is_alarm]
    stepped = [batch for batch in batches if batch.rows]
    return Summary(
        step=int(steps_of(stepped[-1])[-1]) if stepped else 0,
        loss=next((loss for key in _LOSSES if (loss := _newest(stepped, key)) is not None), None),
        goodbye=next((message for message in messages if isinstance(message, Goodbye)), None),
        alarms=len(alarms),
        worst=max((alarm.severity for alarm in alarms), default=Severity.WARNING),
    )


def _newest(batches: list[wire.Batch], key: str) -> float | None:
    for batch in reversed(batches):
        values = points_of(batch, key)[1]
        if len(values):
            return float(values[-1])
    return None
