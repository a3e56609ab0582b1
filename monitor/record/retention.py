"""Which runs may go: those that are over, that nobody reads on from, and that were not asked to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.record import registry
from monitor.record.runfile import RunFileError, read_run
from probe import wire

#: What SQLite may have left beside a run file.
_BESIDE = ("", "-wal", "-shm", "-journal")
_NO_BATCHES = 1 << 62


@dataclass(frozen=True, slots=True)
class Prunable:
    """A run that may go: its files, of each rank, and when it ended."""

    run_id: str
    name: str
    ended_s: float
    paths: tuple[Path, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.stat().st_size for file in _files(self.paths))

    def remove(self) -> None:
        """Raises OSError."""
        for file in _files(self.paths):
            file.unlink(missing_ok=True)


def prunable(*, before_s: float, keep: int) -> list[Prunable]:
    """The runs that ended before ``before_s`` and are not among the ``keep`` newest, newest first.

    A live run never goes, nor one that cannot be read, nor one that a run that stays was resumed from.
    """
    found, needed = [], set()
    for number, ranks in enumerate(_runs()):
        run = _ended(ranks)
        if run is not None and number >= keep and run.ended_s < before_s and run.run_id not in needed:
            found.append(run)
        else:
            needed |= _resumed(ranks)
    return found


def _runs() -> list[list[registry.RunEntry]]:
    """The ranks of each run, the newest run first."""
    runs: dict[str, list[registry.RunEntry]] = {}
    for entry in registry.run_files():
        runs.setdefault(entry.run_id, []).append(entry)
    return list(runs.values())


def _ended(ranks: Sequence[registry.RunEntry]) -> Prunable | None:
    """The run, if each of its ranks has ended."""
    ended_s, paths = 0.0, []
    for entry in ranks:
        goodbye = next((m for m in _messages(entry) if isinstance(m, wire.Goodbye)), None)
        if entry.live is not None or entry.path is None or goodbye is None:
            return None
        ended_s = max(ended_s, goodbye.time_s)
        paths.append(entry.path)
    return Prunable(ranks[0].run_id, ranks[0].name, ended_s, tuple(paths))


def _resumed(ranks: Sequence[registry.RunEntry]) -> set[str]:
    return {m.resumes for entry in ranks for m in _messages(entry) if isinstance(m, wire.Hello) and m.resumes}


def _messages(entry: registry.RunEntry) -> list[wire.Message]:
    """All but the batches; nothing of a file that cannot be read."""
    try:
        return list(read_run(entry.path, _NO_BATCHES)) if entry.path is not None else []
    except RunFileError:
        return []


def _files(paths: Sequence[Path]) -> list[Path]:
    files = [path.with_name(path.name + suffix) for path in paths for suffix in _BESIDE]
    return [file for file in files if file.exists()]
