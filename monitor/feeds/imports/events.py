"""TensorBoard's event files, read by TensorBoard's own reader where that is installed.

A folder is searched: each folder with event files in it is a run, its files one after the other. Keras writes what
belongs to one run into two folders, ``train`` and ``validation``: these are put together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from monitor.feeds.imports.documents import Row
from monitor.feeds.imports.errors import LogError

#: What every event file has in its name; TensorBoard looks for it, too.
MARK: Final = "tfevents"


def is_event_file(path: Path) -> bool:
    return path.is_file() and MARK in path.name


def event_folders(folder: Path) -> list[Path]:
    """The folders in and under this one that hold event files."""
    return sorted({path.parent for path in folder.rglob(f"*{MARK}*") if path.is_file()})


def read_events(path: Path) -> list[Row]:
    """The rows of an event file, or of a folder's."""
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if is_event_file(file))
    return [row for file in files for row in rows_of(file)]


def read_event_folder(folder: Path) -> list[Row]:
    """The rows of every run in a folder, each with the ``run`` that it belongs to."""
    runs: dict[str, list[list[Row]]] = {}
    for part in event_folders(folder):
        run, prefix = run_and_prefix(part)
        name = folder.resolve().name if run == folder else run.relative_to(folder).as_posix()
        rows = [{key if key == "step" else prefix + key: v for key, v in row.items()} for row in read_events(part)]
        runs.setdefault(name, []).append(rows)
    return [{"run": name, **row} for name, parts in runs.items() for row in side_by_side(parts)]


def run_and_prefix(part: Path) -> tuple[Path, str]:
    """Which folder is the run of a folder with event files, and what its tags are called there."""
    if part.name in ("train", "validation") and (part.parent / "train").is_dir():
        return part.parent, "val_" if part.name == "validation" else ""
    return part, ""


def side_by_side(parts: Sequence[list[Row]]) -> list[Row]:
    """The rows of several folders by their steps; those of a single one stay as they are, with what was resumed."""
    if len(parts) == 1:
        return parts[0]
    return sorted((row for rows in parts for row in rows), key=lambda row: int(row["step"]))


def rows_of(file: Path) -> list[Row]:
    """The scalars of one event file, a row a step, in the order of the steps."""
    rows: dict[int, Row] = {}
    for step, tag, value in scalars(file):
        rows.setdefault(step, {"step": step})[tag] = value
    return [rows[step] for step in sorted(rows)]


def scalars(file: Path) -> Iterator[tuple[int, str, float]]:
    """Step, tag and value of each scalar. A file that a crash cut short is read as far as it goes."""
    try:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
        from tensorboard.util.tensor_util import make_ndarray
    except ImportError:
        raise LogError("a TensorBoard event file; TensorBoard reads it for us: pip install tensorboard") from None
    for event in EventFileLoader(str(file)).Load():
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "scalars":
                yield event.step, value.tag, number_in(make_ndarray(value.tensor))


def number_in(array: Any) -> float:
    return float(array.reshape(-1)[0])
