"""Whether a file is kept up by somebody whose process cannot be seen: by its age, on its file server's clock."""

from __future__ import annotations

import os
import tempfile
import time
from functools import lru_cache
from pathlib import Path

#: What was not touched for so long is a dead recorder's: they touch their entries each 20 s, and a network file
#: system may show that up to 60 s late.
FRESH_S = 120.0
#: The file server's clock is asked for again after this many seconds.
_CLOCK_S = 30.0


def is_fresh(entry: Path, within_s: float = FRESH_S) -> bool:
    """Whether the registry entry is there and was touched not long ago."""
    try:
        with entry.open("rb") as file:  # a network file system asks its server when a file is opened
            touched_s = os.fstat(file.fileno()).st_mtime
    except OSError:
        return False
    return _age_s(touched_s, entry.parent) <= within_s


def is_written(file: Path, live: Path) -> bool:
    """Whether the run file was written not long ago. It is not opened: that could undo SQLite's locks on it.

    The clock is that of the folder ``live`` in the same home.
    """
    for suffix in ("", "-wal", "-journal"):
        try:
            written_s = file.with_name(file.name + suffix).stat().st_mtime
        except OSError:
            continue
        if _age_s(written_s, live) <= FRESH_S:
            return True
    return False


def _age_s(then_s: float, folder: Path) -> float:
    return time.time() + _ahead_s(folder, int(time.monotonic() / _CLOCK_S)) - then_s


@lru_cache(maxsize=8)
def _ahead_s(folder: Path, _round: int) -> float:
    """How far the clock of that folder's file server is ahead; 0 where nothing can be written."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".now-") as file:
            return os.fstat(file.fileno()).st_mtime - time.time()
    except OSError:
        return 0.0
