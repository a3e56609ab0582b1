"""How large a run file may grow before its per-layer detail is thinned, the oldest first. Scalars never are."""

from __future__ import annotations

import os
import sqlite3

from monitor.record.runfile import RunFile

LIMIT_MIB = 2048


def own_limit_bytes() -> int:
    """``$BEDSIDE_RUN_MIB``, where it is a number."""
    own = os.environ.get("BEDSIDE_RUN_MIB", "")
    return (int(own) if own.isdecimal() else LIMIT_MIB) << 20


class SizeLimit:
    """Goes over the pages round by round, a few at a time; each round halves what is left of their detail."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._next_bytes = limit_bytes
        self._before_bytes: int | None = None
        self._seq = 0
        self._has_said = False

    def keep(self, file: RunFile) -> str | None:
        """Thin a few pages if the file is too large; what to say when that does not help any more."""
        size = file.size_bytes()
        if size <= self._next_bytes:
            self._before_bytes = None
            return None
        try:
            self._seq = file.thin(self._seq)
        except sqlite3.Error:  # a full disk, or a reader in the way: at the next commit
            return None
        return None if self._seq else self._end_round(size)

    def _end_round(self, size: int) -> str | None:
        is_in_vain = self._before_bytes is not None and size >= self._before_bytes
        self._before_bytes = size
        self._next_bytes = size * 9 // 8 if is_in_vain else self._limit_bytes
        if not is_in_vain or self._has_said:
            return None
        self._has_said = True
        return (
            f"The run file grows beyond {self._limit_bytes >> 20} MiB although its per-layer detail is thinned. "
            "Scalars are kept whatever they take; BEDSIDE_RUN_MIB sets another size."
        )
