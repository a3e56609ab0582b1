"""What is read from the tables of a run file: each statement by itself, none left open for who reads on later."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator

import msgspec

from monitor.record import pages
from monitor.rows import flaw, steps_of, times_of
from probe import wire

#: Pages fetched at once; none is held longer than it takes to hand it on.
FETCH = 16
_MAX_SEQ = (1 << 63) - 1


def meta_of(db: sqlite3.Connection, key: str) -> bytes | None:
    row = db.execute("SELECT value FROM meta WHERE key = ? AND typeof(value) = 'blob'", (key,)).fetchone()
    return None if row is None else bytes(row[0])


def hello_of(db: sqlite3.Connection) -> wire.Hello | None:
    """Of the run in it; ``None`` if none has begun there yet."""
    hello = wire.decode(meta_of(db, "hello") or b"")
    return hello if isinstance(hello, wire.Hello) else None


def newest_batches(db: sqlite3.Connection) -> list[wire.Batch]:
    """The last page with rows and the journal after it."""
    row = db.execute("SELECT first_seq - 1 FROM pages WHERE rows > 0 ORDER BY last_seq DESC LIMIT 1").fetchone()
    return [batch for batch, _ in batches_after(db, row[0] if row else 0) if flaw(batch) is None]


def last_row(db: sqlite3.Connection) -> tuple[int, float]:
    """Step and time of the newest row. Zeros if there is none."""
    batches = [batch for batch in newest_batches(db) if batch.rows]
    return (int(steps_of(batches[-1])[-1]), float(times_of(batches[-1])[-1])) if batches else (0, 0.0)


def batches_after(db: sqlite3.Connection, seq: int) -> Iterator[tuple[wire.Batch, bytes]]:
    while found := _pages_after(db, seq) or journal_after(db, seq):
        yield from found
        seq = found[-1][0].seq


def pages_between(db: sqlite3.Connection, seq: int, newest: int) -> Iterator[tuple[wire.Batch, bytes]]:
    while found := _pages_after(db, seq, newest):
        yield from found
        seq = found[-1][0].seq


def _pages_after(db: sqlite3.Connection, seq: int, newest: int = _MAX_SEQ) -> list[tuple[wire.Batch, bytes]]:
    query = (
        "SELECT last_seq, frame, extents FROM pages WHERE last_seq > ? AND last_seq <= ? AND typeof(frame) = 'blob' "
        "ORDER BY last_seq LIMIT ?"
    )
    found = []
    for last_seq, frame, extents in db.execute(query, (seq, newest, FETCH)).fetchall():
        page = batch_of(frame, last_seq)
        if pages.first_seq(page) <= seq:
            try:
                page = pages.after(page, extents, seq)
            except (ValueError, TypeError, IndexError, zlib.error, msgspec.MsgspecError) as error:
                raise sqlite3.DatabaseError("a page of it cannot be cut") from error
            frame = wire.encode(page)  # noqa: PLW2901  the frame of what is left of the page
        found.append((page, frame))
    return found


def journal_after(db: sqlite3.Connection, seq: int) -> list[tuple[wire.Batch, bytes]]:
    query = "SELECT seq, frame FROM journal WHERE seq > ? AND typeof(frame) = 'blob' ORDER BY seq"
    return [(batch_of(frame, number), frame) for number, frame in db.execute(query, (seq,)).fetchall()]


def batch_of(frame: bytes, seq: int) -> wire.Batch:
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
    goodbye = meta_of(db, "goodbye")
    if goodbye is not None:
        yield goodbye
