"""The tables of a run file, and how one is opened: also a stranger's, which must hold nothing but these tables.

``user_version`` is the version of the tables, ``application_id`` says that the file is one of ours.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

from monitor.record import filesystem
from probe import wire

TABLES_VERSION = 1
APPLICATION_ID = 0x42454453  # "BEDS"

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE journal (seq INTEGER PRIMARY KEY, frame BLOB NOT NULL);
CREATE TABLE pages (
  last_seq INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, first_step INTEGER NOT NULL, last_step INTEGER NOT NULL,
  rows INTEGER NOT NULL, extents BLOB NOT NULL, frame BLOB NOT NULL
);
CREATE TABLE alerts (id INTEGER PRIMARY KEY, frame BLOB NOT NULL);
CREATE TABLE notices (id INTEGER PRIMARY KEY, frame BLOB NOT NULL);
"""
#: One with anything else in it (a view, a trigger) could do as it likes when it is read.
_STATEMENTS = {statement.strip() for statement in _TABLES.split(";")}
#: Of one value: a frame, and some room. A file may claim to hold any.
_MOST_BYTES = wire.MAX_FRAME_BYTES + (1 << 20)
#: How long a reader may hold up a writer that must be alone, and a writer a reader.
CLOSE_S = 5.0


class RunFileError(Exception):
    """The file cannot be read as a run; the message is one line for a person."""


def open_file(path: Path) -> sqlite3.Connection:
    """A read-only connection, also to a file that is being written or was left by a crash.

    Raises :class:`RunFileError`.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise RunFileError(f"{path} cannot be read: {error.strerror}.") from error
    if head == b"":
        raise _nothing_yet(path)
    if head != b"SQLite format 3\0":
        raise RunFileError(f"{path} is not a run file of Bedside's.")
    uri = path.absolute().as_uri()
    # Where the folder cannot be written and no log is left, SQLite must be told that nobody else writes either.
    modes = ["mode=ro"] if path.with_name(path.name + "-wal").exists() else ["mode=ro", "immutable=1"]
    for mode in modes:
        # A reader's generator may be closed by another thread than the one that drew from it, never at once.
        db = sqlite3.connect(
            f"{uri}?{mode}", uri=True, timeout=CLOSE_S, isolation_level=None, check_same_thread=False
        )
        try:
            _check(db, path)
            if sys.version_info >= (3, 11):
                db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
        except sqlite3.Error as error:
            db.close()
            if mode == modes[-1]:
                raise RunFileError(f"{path} cannot be read: {error}.") from error
        except RunFileError:
            db.close()
            raise
        else:
            return db
    raise AssertionError(modes)


def prepare(db: sqlite3.Connection, path: Path | None) -> None:
    """Make the tables, or see that they are there; what is not a run file is left as it is."""
    is_new = _is_empty(db)
    if not is_new:
        _check(db, path)
    db.execute(f"PRAGMA journal_mode={'TRUNCATE' if path and filesystem.is_remote(path) else 'WAL'}")
    db.execute("PRAGMA synchronous=NORMAL")
    if not is_new:
        return
    db.executescript(
        f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version={TABLES_VERSION}; "
        f"PRAGMA application_id={APPLICATION_ID}; COMMIT"
    )


def _check(db: sqlite3.Connection, path: Path | None) -> None:
    if _is_empty(db):
        raise _nothing_yet(path)
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise RunFileError(f"{path} is not a run file of Bedside's.")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > TABLES_VERSION:
        raise RunFileError(
            f"{path} was written by a newer Bedside (its tables are version {version}, this one knows up to "
            f"{TABLES_VERSION}). Install the newest Bedside here, too."
        )
    if not {sql for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")} <= _STATEMENTS:
        raise RunFileError(f"{path} has more in it than a run; it is not opened.")


def _is_empty(db: sqlite3.Connection) -> bool:
    return not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _nothing_yet(path: Path | None) -> RunFileError:
    """Between the making of the file and the making of its tables; or the recorder was killed just then."""
    return RunFileError(f"{path} has nothing in it yet.")
