"""A training that was resumed is several runs, each with a file of its own, and one story."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from monitor import rows
from monitor.record import registry
from monitor.record.runfile import RunFileError, read_hello, read_run
from probe import wire

#: In the place of a step: beyond all of them.
_UNREAD = sys.maxsize


def before(hello: wire.Hello) -> Iterator[wire.Message]:
    """The batches of the runs that this one goes on from, oldest first, up to the step at which it does.

    What an earlier run did after the checkpoint belongs to its own file only. A Notice says what cannot be had.
    """
    paths = _files_of(hello.resumes, hello.rank)
    if not paths:
        yield wire.Notice(text=f"The run before this one, {hello.resumes}, is not on this machine.")
    begins = [_first_step(path) for path in paths]
    for number, path in enumerate(paths):
        later = min(begins[number + 1 :], default=_UNREAD)
        if begins[number] < later or begins[number] == _UNREAD:  # else a copy, or all of it was done anew
            yield from _part(path, hello, min(later, hello.first_step))


def _part(path: Path, hello: wire.Hello, end: int) -> Iterator[wire.Message]:
    """What is in that file, and in those that its run goes on from, up to the step ``end``."""
    try:
        for message in read_run(path):
            if isinstance(message, wire.Batch):
                yield rows.until(message, end)
            elif isinstance(message, wire.Hello) and message.resumes and message.started_s < hello.started_s:
                for earlier in before(message):
                    yield rows.until(earlier, end) if isinstance(earlier, wire.Batch) else earlier
    except RunFileError as error:
        yield wire.Notice(text=f"The run before this one cannot be read: {error}")


def _files_of(run_id: str, rank: int) -> list[Path]:
    """Oldest first: a rank that was left and entered again has several."""
    entries = [entry for entry in registry.run_files() if (entry.run_id, entry.rank) == (run_id, rank)]
    return [entry.path for entry in reversed(entries) if entry.path is not None]


def _first_step(path: Path) -> int:
    """After which step the run in that file begins, or that it cannot be read, which is said in its turn."""
    try:
        hello = read_hello(path)
    except RunFileError:
        return _UNREAD
    return _UNREAD if hello is None else hello.first_step
