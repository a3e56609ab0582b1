"""Where a run file lies, and whether its name still leads to it.

SQLite goes on writing into a file whose name is gone, and nobody would find what it writes.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

#: What SQLite keeps beside a database while it is written.
_BESIDE = ("-wal", "-shm", "-journal")

_Inode = tuple[int, int] | None


class Place:
    """The name of a run file, and the file that it led to when that was opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _inode(path)
        self._beside = self._look_beside()

    def has_changed(self) -> bool:
        """Whether the name leads to another file by now, or to none. Raises OSError where it cannot be looked at."""
        if _inode(self._path) != self._file:
            return True
        self._beside = self._look_beside()
        return False

    def clear(self) -> None:
        """Remove what is left beside the former file: the next one at this name would take it for its own log."""
        for path, inode in self._look_beside().items():
            if inode is not None and inode == self._beside.get(path):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()

    def _look_beside(self) -> dict[Path, _Inode]:
        paths = [self._path.with_name(self._path.name + suffix) for suffix in _BESIDE]
        return {path: _inode(path) for path in paths}


def _inode(path: Path) -> _Inode:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
