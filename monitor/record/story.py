"""A training that was resumed is several runs, each with a file of its own, and one story."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monitor import rows
from monitor.record import registry
from monitor.record.runfile import RunFileError, read_run
from probe import wire


def before(hello: wire.Hello) -> Iterator[wire.Message]:
    """The batches of the runs that this one goes on from, oldest first, up to the step at which it does.

    What an earlier run did after the checkpoint belongs to its own file only. A Notice says what cannot be had.
    """
    path = _file_of(hello.resumes, hello.rank)
    if path is None:
        yield wire.Notice(text=f"The run before this one, {hello.resumes}, is not on this machine.")
        return
    try:
        for message in read_run(path):
            if isinstance(message, wire.Batch):
                yield rows.until(message, hello.first_step)
            elif isinstance(message, wire.Hello) and message.resumes and message.started_s < hello.started_s:
                for earlier in before(message):
                    yield rows.until(earlier, hello.first_step) if isinstance(earlier, wire.Batch) else earlier
    except RunFileError as error:
        yield wire.Notice(text=f"The run before this one cannot be read: {error}")


def _file_of(run_id: str, rank: int) -> Path | None:
    entries = (entry for entry in registry.run_files() if (entry.run_id, entry.rank) == (run_id, rank))
    return next((entry.path for entry in entries), None)
