"""Logs that other programs wrote, as the messages that a live run sends, told apart by content.

What real logs do and what must not break the reading: numbers that are not finite as words, a validation in a row
of its own or in the row of a step, several runs in one file, a step number that goes back after a resumption or
starts again each epoch, a last line cut short by the crash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from monitor.feeds.imports.columns import ALIASES, SERIES, match
from monitor.feeds.imports.documents import Row
from monitor.feeds.imports.errors import LogError
from monitor.feeds.imports.events import event_folders, is_event_file, read_event_folder, read_events
from monitor.feeds.imports.exports import summed, unfolded
from monitor.feeds.imports.parquet import is_parquet, read_parquet
from monitor.feeds.imports.table import ImportedRun, run_of
from monitor.feeds.imports.text import read_rows

__all__ = ["ALIASES", "ImportedRun", "LogError", "read_log"]


def read_log(path: Path, given: Mapping[str, str] | None = None) -> list[ImportedRun]:
    """The runs in a log. ``given`` says which columns are meant where names do not tell: ``{"loss": "train/ce"}``.

    Raises :class:`LogError`.
    """
    given = given or {}
    rows = summed(unfolded(rows_of(path)))
    if not rows:
        raise LogError("no row in it; a log has one row a step or epoch")
    names = list(dict.fromkeys(name for row in rows for name in row))
    for ours, theirs in given.items():
        if ours not in ALIASES:
            raise LogError(f"--map {ours}={theirs}: unknown series '{ours}'; known are {', '.join(ALIASES)}")
        if theirs not in names:
            raise LogError(f"--map {ours}={theirs}: no column '{theirs}'; it has {some(names)}")
    columns = match(names, given)
    if not columns.keys() & SERIES.keys():
        raise LogError(
            f"no loss, accuracy, learning rate or gradient norm in it; it has {some(names)}; --map names one"
        )
    name = path.name.removesuffix(".gz").rpartition(".")[0] or path.name
    parts = split(rows, columns)
    return [
        run_of(part, columns, label or (name if len(parts) == 1 else f"{name}#{i}")) for i, (label, part) in parts
    ]


def rows_of(path: Path) -> list[Row]:
    """The rows of a file, or of TensorBoard's files in a folder, by whoever can read them."""
    if is_parquet(path):
        return read_parquet(path)
    if is_event_file(path):
        return read_events(path)
    if path.is_dir() and event_folders(path):
        return read_event_folder(path)
    return read_rows(path)


def split(rows: Sequence[Row], columns: Mapping[str, str]) -> list[tuple[int, tuple[str, list[Row]]]]:
    """The rows of each run, by the column that names it, in the order of their first rows."""
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(str(row.get(columns.get("run", ""), "")), []).append(row)
    return list(enumerate(parts.items(), 1))


def some(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return "columns " + ", ".join(repr(name[:40]) for name in names[:most]) + more
