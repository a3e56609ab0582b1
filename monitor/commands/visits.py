"""Where a look at a run is remembered: a small file a run, beside the runs."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import msgspec

from monitor.app.visit import Visit

_NAME = re.compile(r"[0-9A-Za-z_-]{1,64}")


class Visits:
    """Looks, by the run's id, in a folder. What cannot be read or written is as if it had never been."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, run_id: str) -> Visit | None:
        path = self._path(run_id)
        if path is None:
            return None
        try:
            return msgspec.json.decode(path.read_bytes(), type=Visit)
        except (OSError, msgspec.DecodeError):
            return None

    def remember(self, run_id: str, visit: Visit) -> None:
        path = self._path(run_id)
        if path is None:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            made = path.with_suffix(f".{os.getpid()}")
            made.write_bytes(msgspec.json.encode(visit))
            made.replace(path)

    def _path(self, run_id: str) -> Path | None:
        """The file of a run; none for an id from outside that is no name."""
        return self._folder / f"{run_id}.json" if _NAME.fullmatch(run_id) else None
