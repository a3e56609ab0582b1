"""A run file from a stranger: nothing in it is executed, and whatever it holds, it is read or refused."""

import os
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path

import hostile
import msgspec
import numpy as np
import pytest
from samples import SAMPLES
from toy_run import ROOT

from monitor.commands.watching import resolve
from monitor.record.runfile import Changes, RunFile, RunFileError, read_run
from monitor.record.summary import Summary, summary
from monitor.session import Session
from probe import wire
from probe.batch import BatchBuilder

OVERSIZED = pytest.param(
    "zeroblob(70000000)",
    marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 cannot set SQLite's own limit"),
)
HELLO = wire.Hello(schema=1, run_id="0badf11e", name="gift", started_s=0.0)


def batch(seq: int, rows: int = 100) -> wire.Batch:
    builder = BatchBuilder()
    for step in range(rows * (seq - 1) + 1, rows * seq + 1):
        builder.row(step, float(step), {"train/loss": 1 / step})
    return builder.build(seq)


@pytest.fixture
def path(tmp_path):
    """A good file of two pages and a journal."""
    file = RunFile.create(tmp_path / "gift.bedside")
    batches = [batch(seq) for seq in range(1, 9)]
    file.write(
        Changes(
            meta={"hello": wire.encode(HELLO), "goodbye": wire.encode(wire.Goodbye(time_s=1.0, reason="finished"))},
            batches=[(each, wire.encode(each)) for each in batches],
        )
    )
    file.close()
    return tmp_path / "gift.bedside"


def change(path: Path, *statements: str, values: tuple = ()) -> None:
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement, values)
    db.commit()
    db.close()


def steps_of(messages) -> int:
    return sum(message.rows for message in messages if isinstance(message, wire.Batch))


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW more AS SELECT load_extension('/tmp/evil.so')",
        "CREATE TRIGGER spy AFTER INSERT ON meta BEGIN DELETE FROM pages; END",
        "CREATE TABLE spare (x DEFAULT (load_extension('/tmp/evil.so')))",
        "CREATE INDEX fast ON pages (length(frame))",
        "CREATE VIRTUAL TABLE words USING fts5(text)",
    ],
)
def test_a_file_with_anything_but_the_tables_of_a_run_is_not_opened(path, statement):
    change(path, statement)

    with pytest.raises(RunFileError, match="has more in it than a run; it is not opened"):
        list(read_run(path))
    assert summary(path) == Summary()


def test_a_view_in_the_place_of_a_table_is_not_looked_into(path):
    change(
        path,
        "DROP TABLE notices",
        "CREATE VIEW notices AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) "
        "SELECT id, x'00' AS frame FROM n",
    )

    with pytest.raises(RunFileError, match="it is not opened"):
        list(read_run(path))


def test_a_page_that_contradicts_itself_is_passed_over_and_said(path):
    torn = wire.Batch(seq=8, start=1, rows=3, times_s=b"1234")
    change(path, "UPDATE journal SET frame = ? WHERE seq = 8", values=(wire.encode(torn),))

    messages = list(read_run(path))

    assert steps_of(messages) == 700
    assert [message.text for message in messages if isinstance(message, wire.Notice)] == [
        "1 pages of this file make no sense and are not shown: steps or times do not match the row count."
    ]
    assert summary(path).step == 700


def test_a_page_with_the_number_of_another_is_no_endless_story(path):
    change(path, "UPDATE pages SET last_seq = last_seq + 1000000")

    with pytest.raises(RunFileError, match="is damaged: a page of it is not the batch that it should be"):
        list(read_run(path))


@pytest.mark.parametrize("value", ["'a text'", "1000000000000", "1.5", "x''", OVERSIZED])
@pytest.mark.parametrize("table", ["pages", "journal", "alerts", "notices", "meta"])
def test_what_is_no_frame_is_no_message(path, table, value):
    column = "value" if table == "meta" else "frame"
    change(path, "INSERT INTO notices VALUES (1, 'x')", "INSERT INTO alerts VALUES (1, 'x')")
    change(path, f"UPDATE {table} SET {column} = {value}")

    if value == "zeroblob(70000000)" or (value == "x''" and table in ("pages", "journal")):
        with pytest.raises(RunFileError, match="is damaged"):
            list(read_run(path))
    else:
        assert steps_of(read_run(path)) == {"pages": 200, "journal": 600}.get(table, 800)
    summary(path)


def test_extents_that_unpack_to_anything_are_not_unpacked(path):
    bomb = zlib.compress(bytes(200 << 20), 9)
    change(path, "UPDATE pages SET extents = ?", values=(bomb,))

    with pytest.raises(RunFileError, match="is damaged: a page of it cannot be cut"):
        list(read_run(path, after_seq=1))
    assert steps_of(read_run(path)) == 800


def test_processes_that_cannot_be_are_not_there(path):
    change(path, "DELETE FROM meta WHERE key = 'goodbye'")
    for processes in (b"\xff\xfe", b"[]", b'{"host": 1}'):
        change(path, "INSERT OR REPLACE INTO meta VALUES ('processes', ?)", values=(processes,))
        assert not any(isinstance(message, wire.Goodbye) for message in read_run(path))


def test_whatever_messages_a_file_holds_they_are_read_passed_over_or_refused(path, tmp_path):
    """Hostile frames of every kind in every place; a screen and a diagnosis open each file."""
    frames = list(hostile.mutated([wire.encode(message) for message in SAMPLES.values()], 400, seed=1))
    random = np.random.default_rng(0)
    for number in range(40):
        for table in ("pages", "journal", "alerts", "notices"):
            id_ = {"pages": "last_seq", "journal": "seq"}.get(table, "id")
            frame = frames[int(random.integers(len(frames)))]
            if table in ("alerts", "notices"):
                change(path, f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", values=(number, frame))
            else:
                decoded = wire.decode(frame)
                if isinstance(decoded, wire.Batch):
                    frame = wire.encode(msgspec.structs.replace(decoded, seq=3 if table == "pages" else 8))
                change(path, f"UPDATE {table} SET frame = ? WHERE {id_} = (SELECT max({id_}) FROM {table})",
                       values=(frame,))  # fmt: skip
        change(path, "INSERT OR REPLACE INTO meta VALUES ('hello', ?)",
               values=(frames[int(random.integers(len(frames)))],))  # fmt: skip
        session = Session(resolve(str(path)).feed)
        session.start()
        session._thread.join(20)
        assert not session._thread.is_alive()
        assert session.error is None or isinstance(session.error, RunFileError)
        session.latest()
        summary(path)


def test_a_pickle_a_shell_line_and_an_escape_in_a_file_do_nothing(path, tmp_path):
    """In a process of its own, with every way to execute something watched by Python itself."""
    touched = tmp_path / "touched"
    evil = f"\x1b]0;owned\x07$(touch {touched})`touch {touched}`\ncos\nsystem\n(S'touch {touched}'\ntR."
    hello = msgspec.structs.replace(HELLO, name=evil, script=evil, interpreter=evil, model=evil, config={"x": evil})
    alert = wire.Alert(id=1, rule=evil, severity=wire.Severity.CRITICAL, raised_step=1, summary=evil, action=evil)
    change(path, "INSERT OR REPLACE INTO meta VALUES ('hello', ?)", values=(wire.encode(hello),))
    change(path, "INSERT INTO alerts VALUES (1, ?)", values=(wire.encode(alert),))
    watched = (
        "import sys; sys.addaudithook(lambda event, args: event in FORBIDDEN and print('EXECUTED', event, args));"
        "FORBIDDEN = ()\n"
        "from monitor.cli import main\n"
        "import monitor.commands.report, monitor.commands.diagnose, monitor.tail\n"
        "FORBIDDEN = ('subprocess.Popen', 'os.system', 'os.exec', 'os.posix_spawn', 'os.fork', 'pickle.find_class', "
        "'sqlite3.load_extension', 'sqlite3.enable_load_extension')\n"
        "main(sys.argv[1:])"
    )
    for command in ("tail", "report", "diagnose"):
        done = subprocess.run(
            [sys.executable, "-c", watched, command, str(path)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "BEDSIDE_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "EXECUTED" not in done.stdout + done.stderr
        assert "\x1b]" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout
    assert not touched.exists()
