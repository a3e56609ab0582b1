"""The run file: everything about one run in one SQLite database, written by its recorder, read by anyone.

Batches are journalled as they come, and every 256 steps the journal becomes one page: so each commit is small, and
a run of a million steps is read back as 4,000 blobs. A file that is being written has a write-ahead log beside it
(on a network file system, where that is not safe, a rollback journal); a finished one is a single plain file.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import msgspec

from monitor.record import pages, registry
from monitor.record.place import Place
from monitor.record.statements import (
    FETCH,
    batch_of,
    batches_after,
    hello_of,
    journal_after,
    last_row,
    meta_of,
    newest_batches,
    others,
    pages_between,
)
from monitor.record.tables import CLOSE_S, RunFileError, open_file, prepare
from monitor.rows import flaw, merge, steps_of
from probe import wire

__all__ = ["Changes", "RunFile", "RunFileError", "newest_batches", "open_file", "others", "read_hello", "read_run"]

_BUSY_S = 0.5
_NEW_PAGE = "INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?, ?)"


@dataclass
class Changes:
    """What is to be written in one transaction."""

    batches: list[tuple[wire.Batch, bytes]] = field(default_factory=list)
    alerts: dict[int, bytes] = field(default_factory=dict)
    notices: list[bytes] = field(default_factory=list)
    meta: dict[str, bytes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.batches or self.alerts or self.notices or self.meta)


class RunFile:
    """The writer's side, and the reader of what it has written. One thread, one recorder."""

    def __init__(self, db: sqlite3.Connection, path: Path | None) -> None:
        self._db = db
        self.path = path
        self._place = Place(path) if path is not None else None
        self._journal = [batch for batch, _ in journal_after(db, 0)]
        #: Whether :meth:`reopened` found batches in it.
        self.is_continued = False

    @classmethod
    def create(cls, path: Path | None) -> RunFile:
        """A new file, or the one that another recorder of this run left; ``None`` keeps it in memory.

        Raises OSError, sqlite3.Error or :class:`RunFileError`.
        """
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path or ":memory:", timeout=_BUSY_S, isolation_level=None)
        try:
            prepare(db, path)
        except BaseException:
            db.close()
            raise
        return cls(db, path)

    @property
    def last_seq(self) -> int:
        """The last batch that is committed."""
        if self._journal:
            return self._journal[-1].seq
        return int(self._db.execute("SELECT coalesce(max(last_seq), 0) FROM pages").fetchone()[0])

    @property
    def last_step(self) -> int:
        """The step of the last row that is committed."""
        return last_row(self._db)[0]

    @property
    def is_in_place(self) -> bool:
        """Whether the path still leads to this file. Raises OSError where that cannot be seen."""
        return self._place is None or not self._place.has_changed()

    def write(self, changes: Changes) -> None:
        """All of it or, with a sqlite3.Error, nothing."""
        with self._writing():
            self._insert(changes)
            self._journal = self._add(changes.batches)

    def _add(self, batches: Sequence[tuple[wire.Batch, bytes]]) -> list[wire.Batch]:
        journal = list(self._journal)
        for batch, frame in batches:
            self._db.execute("INSERT INTO journal VALUES (?, ?)", (batch.seq, frame))
            journal.append(batch)
            if pages.is_full(journal):
                self._turn_page(journal)
                journal = []
        return journal

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction; what is thought to be in the journal goes back with it."""
        journal = self._journal
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._journal = journal
            if self._db.in_transaction:  # SQLite itself has rolled back after some errors
                self._db.execute("ROLLBACK")
            raise

    def reopened(self, path: Path) -> RunFile:
        """The file at ``path``, a new one or one of the same run, with all that is in this one; this one is closed.

        Batches that are there already are left alone. Of a run that began without what the file has, the alerts are
        left out: they are numbered as if it began there. Raises what :meth:`create` raises; then nothing is closed.
        """
        if self._place is not None:
            self._place.clear()
        file = RunFile.create(path)
        try:
            file._take_over(self._db, with_alerts=self.path is not None or not file.last_seq)
        except BaseException:
            file._db.close()
            raise
        self._db.close()
        return file

    def _take_over(self, db: sqlite3.Connection, *, with_alerts: bool) -> None:
        last = self.last_seq
        self.is_continued = last > 0
        _check_same_run(self._db, db)
        meta = {key: bytes(value) for key, value in db.execute("SELECT key, value FROM meta")}
        alerts = dict(db.execute("SELECT id, frame FROM alerts").fetchall()) if with_alerts else {}
        known = set(self._db.execute("SELECT frame FROM notices").fetchall())
        told = [row[0] for row in db.execute("SELECT frame FROM notices ORDER BY id").fetchall() if row not in known]
        with self._writing():
            self._insert(Changes(alerts=alerts, notices=told, meta=meta))
            for row in db.execute("SELECT * FROM pages WHERE last_seq > ? ORDER BY last_seq", (last,)):
                if self._journal:  # a page is read before the journal
                    self._turn_page(self._journal)
                    self._journal = []
                if row[1] > last:
                    self._db.execute(_NEW_PAGE, row)
                else:
                    self._insert_page(*pages.cut(batch_of(row[6], row[0]), row[5], last))
            rest = [_beyond(batch, last) for batch, _ in journal_after(db, last)]
            self._journal = self._add([(batch, wire.encode(batch)) for batch in rest])

    def _insert(self, changes: Changes) -> None:
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", changes.meta.items())
        self._db.executemany("INSERT OR REPLACE INTO alerts VALUES (?, ?)", changes.alerts.items())
        self._db.executemany("INSERT INTO notices (frame) VALUES (?)", [(frame,) for frame in changes.notices])

    def _turn_page(self, journal: Sequence[wire.Batch]) -> None:
        page = merge(journal)
        self._insert_page(page, pages.extents_of(journal))
        self._db.execute("DELETE FROM journal WHERE seq <= ?", (page.seq,))

    def _insert_page(self, page: wire.Batch, extents: bytes) -> None:
        steps = steps_of(page)
        first, last = (int(steps.min()), int(steps[-1])) if page.rows else (0, 0)
        row = (page.seq, page.first_seq, first, last, page.rows, extents, wire.encode(page))
        self._db.execute(_NEW_PAGE, row)

    def batches_after(self, seq: int) -> Iterator[tuple[wire.Batch, bytes]]:
        """Batches and pages after ``seq``, oldest first, with their frames. Others may write in between."""
        return batches_after(self._db, seq)

    def others(self) -> Iterator[bytes]:
        """The frames that are no batches: alerts, notices, and the goodbye if there is one."""
        return others(self._db)

    def forget_pages(self, limit_bytes: int) -> bool:
        """Drop the oldest pages beyond ``limit_bytes``; True if any went. For a run that is kept in memory."""
        used = self._db.execute("SELECT total(length(frame)) FROM pages").fetchone()[0]
        if used <= limit_bytes:
            return False
        # An eighth at once, so that this is not done at every page.
        excess = used - limit_bytes * 7 // 8
        self._db.execute(
            "DELETE FROM pages WHERE last_seq <= (SELECT last_seq FROM (SELECT last_seq, sum(length(frame)) "
            "OVER (ORDER BY last_seq) AS total FROM pages) WHERE total >= ? ORDER BY last_seq LIMIT 1)",
            (excess,),
        )
        return True

    def size_bytes(self) -> int:
        """What the file takes, without the room in it that is free to be used again."""
        pages_, free, each = (
            int(self._db.execute(f"PRAGMA {of}").fetchone()[0])
            for of in ("page_count", "freelist_count", "page_size")
        )
        return (pages_ - free) * each

    def thin(self, after: int) -> int:
        """Drop every other layer statistic of a few pages after batch ``after``, but not of the newest quarter.

        The last batch of those pages, 0 at the end of a round. Raises sqlite3.Error.
        """
        (newest,) = self._db.execute("SELECT coalesce(max(last_seq), 0) FROM pages").fetchone()
        found = self._db.execute(
            "SELECT last_seq, frame, extents FROM pages WHERE last_seq > ? AND last_seq <= ? "
            "ORDER BY last_seq LIMIT ?",
            (after, newest * 3 // 4, FETCH),
        ).fetchall()
        thinner = []
        for seq, frame, extents in found:
            page = batch_of(frame, seq)
            thin, kept = pages.thinned(page, extents)
            if len(thin.layers) < len(page.layers):
                thinner.append((wire.encode(thin), kept, seq))
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("UPDATE pages SET frame = ?, extents = ? WHERE last_seq = ?", thinner)
        self._db.execute("COMMIT")
        return int(found[-1][0]) if found else 0

    def close(self) -> None:
        """Leave one plain file: nothing beside it, nothing waiting. Raises sqlite3.Error where that cannot be.

        A reader holds that up for as long as it reads, and SQLite's own waiting does not cover this case.
        """
        deadline = time.monotonic() + CLOSE_S
        try:
            while not self._is_plain() and time.monotonic() < deadline:
                time.sleep(0.05)
            self._db.execute("PRAGMA journal_mode=DELETE")
        finally:
            self._db.close()

    def _is_plain(self) -> bool:
        try:
            self._db.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError:
            return False
        return True


def read_run(path: Path, after_seq: int = 0) -> Iterator[wire.Message]:
    """Everything in the file as it was when the reading began: Hello, the batches after ``after_seq``, alerts,
    notices, and a Goodbye if the run is over. The file may be anybody's; what contradicts itself is passed over, with
    a notice. Who stands still in the middle holds up nobody.

    A run whose training process and recorder are both gone without a goodbye is closed as ``vanished``, in the
    file as well if they were of this machine and it can be written. Raises :class:`RunFileError`.
    """
    db = open_file(path)
    try:
        vanished = yield from _read(db, path, after_seq)
    except sqlite3.Error as error:
        raise RunFileError(f"{path} is damaged: {error}.") from error
    finally:
        db.close()
    if vanished is not None:
        goodbye, is_ours = vanished
        if is_ours:
            _settle(path, goodbye)
        yield goodbye


def read_hello(path: Path) -> wire.Hello | None:
    """As :func:`read_run` gives it, without reading the rest; ``None`` if it gives none. Raises RunFileError."""
    try:
        with contextlib.closing(open_file(path)) as db:
            hello = hello_of(db)
    except sqlite3.Error as error:
        raise RunFileError(f"{path} is damaged: {error}.") from error
    return hello if hello is not None and flaw(hello) is None else None


def _settle(path: Path, goodbye: wire.Goodbye) -> None:
    """Do for the file what its recorder would have done at the end."""
    with contextlib.suppress(OSError, sqlite3.Error, RunFileError):
        file = RunFile.create(path)
        try:
            file.write(Changes(meta={"goodbye": wire.encode(goodbye)}))
        finally:
            file.close()


def _read(
    db: sqlite3.Connection, path: Path, after_seq: int
) -> Generator[wire.Message, None, tuple[wire.Goodbye, bool] | None]:
    """What :func:`read_run` gives; returned, the goodbye that is missing and whether it was of this machine who left.

    No transaction lasts over a ``yield``: without a write-ahead log it would keep the recorder from writing. What
    may still change is read at once, then the pages up to the newest, which only lose detail (:meth:`RunFile.thin`).
    """
    left = _left(db, path)
    db.execute("BEGIN")
    hello, said = hello_of(db), list(others(db))
    vanished = None
    if left is not None and meta_of(db, "goodbye") is None:
        vanished = _goodbye_that_is_missing(db), left.is_here
    (newest,) = db.execute("SELECT coalesce(max(last_seq), 0) FROM pages").fetchone()
    journal = journal_after(db, max(after_seq, newest))
    db.execute("COMMIT")
    if hello is not None and flaw(hello) is None:
        yield hello
    flaws: Counter[str] = Counter()
    for batch, _ in chain(pages_between(db, after_seq, newest), journal):
        if (found := flaw(batch)) is None:
            yield batch
        else:
            flaws[found] += 1
    for message in map(wire.decode, said):
        if isinstance(message, (wire.Alert, wire.Notice, wire.Goodbye)) and flaw(message) is None:
            yield message
    for found, count in flaws.items():
        yield wire.Notice(text=f"{count} pages of this file make no sense and are not shown: {found}.")
    return vanished


def _left(db: sqlite3.Connection, path: Path) -> registry.Processes | None:
    """Its recorder and training process, if both are gone. What is read after this holds the last that they wrote."""
    hello, processes = hello_of(db), meta_of(db, "processes")
    if hello is not None and processes is not None:
        with contextlib.suppress(msgspec.MsgspecError):
            left = msgspec.json.decode(processes, type=registry.Processes)
            return left if left.are_gone(path, hello) else None
    return None


def _beyond(batch: wire.Batch, seq: int) -> wire.Batch:
    """The batch; if it is a gap that begins before ``seq`` or there, from the number after that on."""
    return msgspec.structs.replace(batch, first_seq=seq + 1) if pages.first_seq(batch) <= seq else batch


def _check_same_run(*dbs: sqlite3.Connection) -> None:
    """Raises RunFileError if two of them are of different runs."""
    hellos = [hello for hello in map(hello_of, dbs) if hello is not None]
    if len({(hello.run_id, hello.rank, hello.started_s) for hello in hellos}) > 1:
        raise RunFileError("it is the file of another run")


def _goodbye_that_is_missing(db: sqlite3.Connection) -> wire.Goodbye:
    step, time_s = last_row(db)
    return wire.Goodbye(time_s=time_s, reason="vanished", step=step)
