"""The run file: everything about one run in one SQLite database, written by its recorder, read by anyone.

Batches are journalled as they come, and every 256 steps the journal becomes one page: so each commit is small, and
a run of a million steps is read back as 4,000 blobs. A file that is being written has a write-ahead log beside it
(on a network file system, where that is not safe, a rollback journal); a finished one is a single plain file.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from monitor.record import pages, registry
from monitor.record.tables import CLOSE_S, RunFileError, open_file, prepare
from monitor.rows import flaw, merge, steps_of, times_of
from probe import wire

__all__ = ["Changes", "RunFile", "RunFileError", "newest_batches", "open_file", "others", "read_run"]

#: Pages fetched at once; none is held longer than it takes to hand it on.
_FETCH = 16
_BUSY_S = 0.5


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
        self._journal = [batch for batch, _ in _journal_after(db, 0)]

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
        return _last_row(self._db)[0]

    def write(self, changes: Changes) -> None:
        """All of it or, with a sqlite3.Error, nothing."""
        journal = list(self._journal)
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._insert(changes)
            for batch, frame in changes.batches:
                self._db.execute("INSERT INTO journal VALUES (?, ?)", (batch.seq, frame))
                journal.append(batch)
                if pages.is_full(journal):
                    self._turn_page(journal)
                    journal = []
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite itself has rolled back after some errors
                self._db.execute("ROLLBACK")
            raise
        self._journal = journal

    def _insert(self, changes: Changes) -> None:
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", changes.meta.items())
        self._db.executemany("INSERT OR REPLACE INTO alerts VALUES (?, ?)", changes.alerts.items())
        self._db.executemany("INSERT INTO notices (frame) VALUES (?)", [(frame,) for frame in changes.notices])

    def _turn_page(self, journal: Sequence[wire.Batch]) -> None:
        page = merge(journal)
        steps = [batch.start for batch in journal if batch.rows]
        first, last = (min(steps), int(steps_of(page)[-1])) if steps else (0, 0)
        self._db.execute(
            "INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?, ?)",
            (page.seq, page.first_seq, first, last, page.rows, pages.extents_of(journal), wire.encode(page)),
        )
        self._db.execute("DELETE FROM journal WHERE seq <= ?", (page.seq,))

    def batches_after(self, seq: int) -> Iterator[tuple[wire.Batch, bytes]]:
        """Batches and pages after ``seq``, oldest first, with their frames. Others may write in between."""
        return _batches_after(self._db, seq)

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
            (after, newest * 3 // 4, _FETCH),
        ).fetchall()
        thinner = []
        for seq, frame, extents in found:
            page = _batch(frame, seq)
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
    a notice.

    A run whose training process and recorder are both gone without a goodbye is closed as ``vanished``, in the
    file as well if they were of this machine and it can be written. Raises :class:`RunFileError`.
    """
    db = open_file(path)
    try:
        yield from _read(db, after_seq)
        vanished = _vanished(db, path)
    except sqlite3.Error as error:
        raise RunFileError(f"{path} is damaged: {error}.") from error
    finally:
        db.close()
    if vanished is not None:
        goodbye, is_ours = vanished
        if is_ours:
            _settle(path, goodbye)
        yield goodbye


def _settle(path: Path, goodbye: wire.Goodbye) -> None:
    """Do for the file what its recorder would have done at the end."""
    with contextlib.suppress(OSError, sqlite3.Error, RunFileError):
        file = RunFile.create(path)
        try:
            file.write(Changes(meta={"goodbye": wire.encode(goodbye)}))
        finally:
            file.close()


def _read(db: sqlite3.Connection, after_seq: int) -> Iterator[wire.Message]:
    db.execute("BEGIN")
    hello = wire.decode(_meta(db, "hello") or b"")
    if isinstance(hello, wire.Hello) and flaw(hello) is None:
        yield hello
    flaws: Counter[str] = Counter()
    for batch, _ in _batches_after(db, after_seq):
        if (found := flaw(batch)) is None:
            yield batch
        else:
            flaws[found] += 1
    for message in map(wire.decode, others(db)):
        if isinstance(message, (wire.Alert, wire.Notice, wire.Goodbye)) and flaw(message) is None:
            yield message
    for found, count in flaws.items():
        yield wire.Notice(text=f"{count} pages of this file make no sense and are not shown: {found}.")


def _vanished(db: sqlite3.Connection, path: Path) -> tuple[wire.Goodbye, bool] | None:
    """The goodbye that is missing, if nobody is left to write it; and whether it was of this machine who is gone."""
    hello, left = wire.decode(_meta(db, "hello") or b""), _meta(db, "processes")
    if not isinstance(hello, wire.Hello) or left is None or _meta(db, "goodbye") is not None:
        return None
    try:
        processes = msgspec.json.decode(left, type=registry.Processes)
    except msgspec.MsgspecError:
        return None
    if not processes.are_gone(path, hello):
        return None
    db.execute("COMMIT")  # what was read is older than this look at them: the last thing they did may be a goodbye
    return None if _meta(db, "goodbye") is not None else (_goodbye_that_is_missing(db), processes.is_here)


def _goodbye_that_is_missing(db: sqlite3.Connection) -> wire.Goodbye:
    step, time_s = _last_row(db)
    return wire.Goodbye(time_s=time_s, reason="vanished", step=step)


# -------------------------------------------------------------------------------------------------- the statements


def _meta(db: sqlite3.Connection, key: str) -> bytes | None:
    row = db.execute("SELECT value FROM meta WHERE key = ? AND typeof(value) = 'blob'", (key,)).fetchone()
    return None if row is None else bytes(row[0])


def newest_batches(db: sqlite3.Connection) -> list[wire.Batch]:
    """The last page with rows and the journal after it."""
    row = db.execute("SELECT first_seq - 1 FROM pages WHERE rows > 0 ORDER BY last_seq DESC LIMIT 1").fetchone()
    return [batch for batch, _ in _batches_after(db, row[0] if row else 0) if flaw(batch) is None]


def _last_row(db: sqlite3.Connection) -> tuple[int, float]:
    """Step and time of the newest row. Zeros if there is none."""
    batches = [batch for batch in newest_batches(db) if batch.rows]
    return (int(steps_of(batches[-1])[-1]), float(times_of(batches[-1])[-1])) if batches else (0, 0.0)


def _batches_after(db: sqlite3.Connection, seq: int) -> Iterator[tuple[wire.Batch, bytes]]:
    while found := _pages_after(db, seq) or _journal_after(db, seq):
        yield from found
        seq = found[-1][0].seq


def _pages_after(db: sqlite3.Connection, seq: int) -> list[tuple[wire.Batch, bytes]]:
    query = (
        "SELECT last_seq, frame, extents FROM pages WHERE last_seq > ? AND typeof(frame) = 'blob' "
        "ORDER BY last_seq LIMIT ?"
    )
    found = []
    for last_seq, frame, extents in db.execute(query, (seq, _FETCH)).fetchall():
        page = _batch(frame, last_seq)
        if pages.first_seq(page) <= seq:
            try:
                page = pages.after(page, extents, seq)
            except (ValueError, TypeError, IndexError, zlib.error, msgspec.MsgspecError) as error:
                raise sqlite3.DatabaseError("a page of it cannot be cut") from error
            frame = wire.encode(page)  # noqa: PLW2901  the frame of what is left of the page
        found.append((page, frame))
    return found


def _journal_after(db: sqlite3.Connection, seq: int) -> list[tuple[wire.Batch, bytes]]:
    query = "SELECT seq, frame FROM journal WHERE seq > ? AND typeof(frame) = 'blob' ORDER BY seq"
    return [(_batch(frame, number), frame) for number, frame in db.execute(query, (seq,)).fetchall()]


def _batch(frame: bytes, seq: int) -> wire.Batch:
    batch = wire.decode(frame)
    if not isinstance(batch, wire.Batch) or batch.seq != seq:
        raise sqlite3.DatabaseError("a page of it is not the batch that it should be")
    return batch


def others(db: sqlite3.Connection) -> Iterator[bytes]:
    """The frames that are no batches: alerts, notices, the goodbye."""
    for query in (
        "SELECT frame FROM alerts WHERE typeof(frame) = 'blob' ORDER BY id",
        "SELECT frame FROM notices WHERE typeof(frame) = 'blob' ORDER BY id",
    ):
        for (frame,) in db.execute(query).fetchall():
            yield frame
    goodbye = _meta(db, "goodbye")
    if goodbye is not None:
        yield goodbye
