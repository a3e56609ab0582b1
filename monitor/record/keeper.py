"""Keeps the record of one run safe: in its file, and while that cannot be written, in memory.

What is put in waits for the next commit. If the commit fails (a full disk), everything goes on waiting and is
tried again each second, and nothing is acknowledged: the training process then holds it, too, up to its own limit.
If there can be no file from the start, the run is kept in memory, the newest part of it, and written as soon as there
can be one. A file that is deleted is written anew from what is still open of it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from monitor.record import registry
from monitor.record.pages import first_seq, trimmed
from monitor.record.runfile import Changes, RunFile, RunFileError
from monitor.record.sizelimit import SizeLimit, own_limit_bytes
from monitor.rows import steps_of
from probe import wire

MEMORY_BYTES = 64 * 1024 * 1024
_RETRY_S = 1.0
#: Between two looks whether the file lies where it should, and between two attempts to make one.
_LOOK_S = 1.0
_REOPEN_S = 3.0


class Keeper:
    """The run file and what is not in it yet. ``notify`` is called with each sentence that a person should read.

    A ``path`` of ``None`` keeps the run in memory from the start. ``moved`` is called when the run goes on in another
    file, with whether that has batches which were not known here.
    """

    def __init__(
        self,
        path: Path | None,
        notify: Callable[[str], None],
        moved: Callable[[bool], None] = lambda _: None,
        *,
        memory_bytes: int = MEMORY_BYTES,
        limit_bytes: int | None = None,
    ) -> None:
        self._notify, self._moved = notify, moved
        self._limit = SizeLimit(own_limit_bytes() if limit_bytes is None else limit_bytes)
        self._memory_bytes = memory_bytes
        self._waiting = Changes()
        self._retry_at = 0.0
        self._is_failing = False
        self._has_forgotten = self._is_lost = self._is_complete = False
        self._wanted = path
        self._next_look_s = time.monotonic() + _LOOK_S
        try:
            self._file = RunFile.create(path)
        except (OSError, sqlite3.Error, RunFileError) as error:
            self._file = RunFile.create(None)
            notify(
                f"This run is not on disk: {path} cannot be written ({_reason(error)}). Its newest "
                f"{memory_bytes >> 20} MiB are kept in memory until it ends; every {_REOPEN_S:.0f} s it is tried "
                "again. Free space there, or set BEDSIDE_HOME to a folder that can be written, before the next run."
            )
        #: The last batch that has come, committed or not.
        self.last_seq = self._file.last_seq
        self.last_step = self._file.last_step

    @property
    def path(self) -> Path | None:
        """The run file; ``None`` if the run is in memory."""
        return self._file.path

    @property
    def is_clean(self) -> bool:
        """Whether nothing waits for a commit."""
        return not self._waiting

    def hello(self, frame: bytes, processes: registry.Processes) -> None:
        self._waiting.meta["hello"] = frame
        self._waiting.meta["processes"] = msgspec.json.encode(processes)

    def batch(self, batch: wire.Batch, frame: bytes) -> None:
        """A batch after all others so far."""
        self._waiting.batches.append((batch, frame))
        self.last_seq = batch.seq
        if batch.rows:
            self.last_step = int(steps_of(batch)[-1])

    def replace(self, gap: wire.Batch) -> None:
        """The training process has given up what still waits here, and sends one batch in its place."""
        waiting = self._waiting.batches
        given_up = [old for old, _ in waiting if first_seq(gap) <= old.seq <= gap.seq]
        if not given_up:
            return
        before = [pair for pair in waiting if pair[0].seq < given_up[0].seq]
        after = waiting[len(before) + len(given_up) :]
        marks = [mark for mark in gap.marks if mark.kind == "gap"]
        marks += [mark for old in given_up for mark in old.marks if mark.kind != "gap"]
        facts = list({fact.name: fact for old in given_up for fact in old.facts}.values())
        gap = msgspec.structs.replace(gap, seq=given_up[-1].seq, marks=marks, facts=facts)
        known = [int(steps_of(old)[-1]) for old, _ in before if old.rows] or [self._file.last_step]
        gap = trimmed(gap, first_seq(given_up[0]) - 1, known[-1])
        self._waiting.batches = [*before, (gap, wire.encode(gap)), *after]

    def rest_of(self, gap: wire.Batch) -> wire.Batch:
        """What of a gap has not come: the training process gave it up when a part of it was on its way."""
        said: list[wire.Mark | wire.Fact] = []
        for came in self.recorded(first_seq(gap) - 1):
            said += [*came.marks, *came.facts]
        return trimmed(gap, self.last_seq, self.last_step, [part for part in said if part.step == self.last_step])

    def alert(self, alert: wire.Alert, frame: bytes) -> None:
        self._waiting.alerts[alert.id] = frame

    def notice(self, frame: bytes) -> None:
        self._waiting.notices.append(frame)

    def goodbye(self, frame: bytes) -> None:
        self._waiting.meta["goodbye"] = frame

    def commit(self) -> bool:
        """Write what waits, unless it failed less than a second ago; True if it is written."""
        self._see_to_the_file()
        if not self._waiting:
            return False
        if self._is_failing and time.monotonic() < self._retry_at:
            return False
        try:
            self._write()
        except sqlite3.Error as error:
            self._failed(error)
            return False
        self._is_complete |= self.path is not None and "goodbye" in self._waiting.meta
        self._waiting = Changes()
        if self._is_failing:
            self._is_failing = False
            self._notify("The run file can be written again; nothing that waited for it is lost.")
        if self.path is None and self._file.forget_pages(self._memory_bytes) and not self._has_forgotten:
            self._has_forgotten = True
            self._notify("The oldest steps of this run are forgotten: there is no run file, and memory is limited.")
        elif self.path is not None and (said := self._limit.keep(self._file)):
            self._notify(said)
        return True

    def batches_after(self, seq: int) -> Iterator[tuple[wire.Batch, bytes]]:
        """Batches and pages after ``seq``, oldest first, those that wait included."""
        for batch, frame in self._file.batches_after(seq):
            yield batch, frame
            seq = batch.seq
        for batch, frame in list(self._waiting.batches):
            if batch.seq > seq:
                yield batch, frame

    def recorded(self, after_seq: int) -> Iterator[wire.Batch]:
        """As :meth:`batches_after`, without the frames."""
        return (batch for batch, _ in self.batches_after(after_seq))

    def others(self) -> list[bytes]:
        """The frames that are no batches, those that wait included: a later alert of the same id replaces it."""
        goodbye = self._waiting.meta.get("goodbye")
        frames = [*self._file.others(), *self._waiting.alerts.values(), *self._waiting.notices]
        return [*frames, goodbye] if goodbye is not None else frames

    def close(self) -> None:
        """Write what waits and leave one plain file, as far as the disk lets it."""
        for _ in range(2):  # out of memory a run gets only when nothing waits, and that is said in the file
            self._retry_at = self._next_look_s = 0.0
            self.commit()
        # A reader may have it open, or the disk is full: then the log stays beside it, which readers know.
        with contextlib.suppress(sqlite3.Error):
            self._file.close()

    def _write(self) -> None:
        before = self._file
        try:
            before.write(self._waiting)
        except sqlite3.Error:
            self._next_look_s = 0.0  # with a rollback journal a file that is gone cannot be written
            self._see_to_the_file()
            if self._file is before:
                raise
            self._file.write(self._waiting)

    def _see_to_the_file(self) -> None:
        """Leave the memory for the file as soon as that can be made; write the file anew if it is gone.

        Not once it was complete: who deletes it then means it.
        """
        now = time.monotonic()
        if (
            self._wanted is None
            or self._is_complete
            or now < self._next_look_s
            or (self.path is None and self._waiting)
        ):
            return
        self._next_look_s = now + _LOOK_S
        try:
            if self.path is not None and self._file.is_in_place:
                self._is_lost = False
            else:
                self._next_look_s = now + _REOPEN_S
                self._reopen(self._wanted)
        except (OSError, sqlite3.Error, RunFileError) as error:
            if self.path is not None and not self._is_lost:
                self._is_lost = True
                self._notify(
                    f"The run file {self.path} is gone and cannot be written again ({_reason(error)}). It is tried "
                    f"every {_REOPEN_S:.0f} s; until then the run is lost if its recorder ends."
                )

    def _reopen(self, path: Path) -> None:
        was_in_memory = self.path is None
        try:
            self._file = self._file.reopened(path)
        except (RunFileError, sqlite3.DatabaseError) as error:
            if was_in_memory or isinstance(error, sqlite3.OperationalError):
                raise
            self._file = self._file.reopened(_beside(path))
            self._wanted = self.path
        if self._file.last_seq > self.last_seq:  # what is to come again has not come yet
            self.last_seq, self.last_step = self._file.last_seq, self._file.last_step
        self._is_lost = False
        has_more = was_in_memory and self._file.is_continued
        if was_in_memory:
            again = " Who opened the run meanwhile has to open it again to see its beginning." if has_more else ""
            self._notify(f"The run file {path} can be written now, with what was kept in memory.{again}")
        elif self.path == path:
            self._notify(f"The run file {path} was deleted or replaced; it is written again, with all of the run.")
        else:
            self._notify(f"In the place of the run file {path} lies another; all of the run is in {self.path} now.")
        self._moved(has_more)

    def _failed(self, error: sqlite3.Error) -> None:
        self._retry_at = time.monotonic() + _RETRY_S
        if not self._is_failing:
            self._is_failing = True
            is_held = "locked" in str(error)
            advice = "A program that reads it holds it: end that" if is_held else "Free space on that disk"
            self._notify(
                f"The run file {self.path} cannot be written ({_reason(error)}). It is tried again each second, and "
                f"up to 16 MiB of the run wait for it. {advice}."
            )


def _beside(path: Path) -> Path:
    """Another name for the same run's file, which is found by its id as well."""
    name, _, id_ = path.name.rpartition("-")
    return path.with_name(f"{name}.again-{id_}")


def _reason(error: Exception) -> str:
    return (os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)).rstrip(".")
