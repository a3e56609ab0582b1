import sqlite3
import threading

import msgspec
import numpy as np
import pytest

from monitor import rows
from monitor.record.runfile import Changes, RunFile, RunFileError, read_run
from monitor.record.tables import APPLICATION_ID
from probe import packing, wire

HELLO = wire.Hello(schema=1, run_id="0123abcd", name="toy", started_s=0.0)


def batch(seq: int, rows_: int = 16) -> wire.Batch:
    start = rows_ * (seq - 1) + 1
    steps = [float(start + row) for row in range(rows_)]
    values = wire.Column(values=packing.pack_floats([1 / step for step in steps]))
    return wire.Batch(seq=seq, start=start, rows=rows_, times_s=packing.pack_floats(steps), scalars={"loss": values})


def write(file: RunFile, first: int, last: int, **fields) -> None:
    batches = [batch(seq) for seq in range(first, last + 1)]
    file.write(Changes(batches=[(b, wire.encode(b)) for b in batches], **fields))


def steps_in(path, after_seq: int = 0) -> list[int]:
    found = [rows.steps_of(m) for m in read_run(path, after_seq) if isinstance(m, wire.Batch)]
    return np.concatenate(found).tolist() if found else []


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "a run#1?.bedside"


def test_what_is_written_is_read_in_the_order_of_the_protocol(path):
    file = RunFile.create(path)
    alert = wire.Alert(id=1, rule="spike", severity=wire.Severity.WARNING, raised_step=3)
    notice, goodbye = wire.Notice(text="no losses"), wire.Goodbye(time_s=1.0, reason="finished")
    write(
        file,
        1,
        2,
        meta={"hello": wire.encode(HELLO), "goodbye": wire.encode(goodbye)},
        alerts={1: wire.encode(alert)},
        notices=[wire.encode(notice)],
    )

    assert list(read_run(path)) == [HELLO, batch(1), batch(2), alert, notice, goodbye]


def test_256_steps_make_a_page_and_leave_the_journal(path):
    file = RunFile.create(path)
    write(file, 1, 17)

    read = [message for message in read_run(path) if isinstance(message, wire.Batch)]

    assert [(b.first_seq, b.seq, b.rows) for b in read] == [(1, 16, 256), (0, 17, 16)]


def test_reading_after_a_batch_cuts_the_page_that_it_is_in(path):
    file = RunFile.create(path)
    write(file, 1, 40)

    assert steps_in(path, after_seq=21) == list(range(21 * 16 + 1, 40 * 16 + 1))
    assert steps_in(path, after_seq=40) == []


def test_a_page_with_a_hole_in_its_numbers_is_cut_between_its_batches(path):
    file = RunFile.create(path)
    batches = [batch(seq) for seq in range(1, 18) if seq != 3]
    file.write(Changes(batches=[(b, wire.encode(b)) for b in batches]))

    assert steps_in(path, after_seq=4) == list(range(4 * 16 + 1, 17 * 16 + 1))


def test_a_page_whose_steps_fall_is_read_and_none_of_it_is_lost(path):
    """As recorders left it that took a validation value behind the step after it."""
    file = RunFile.create(path)
    write(file, 1, 17)
    file.close()
    with sqlite3.connect(path) as db:
        (frame,) = db.execute("SELECT frame FROM pages").fetchone()
        steps = [*range(1, 201), 199, *range(202, 257)]
        page = msgspec.structs.replace(wire.decode(frame), steps=packing.pack_steps(steps))
        db.execute("UPDATE pages SET frame = ?", (wire.encode(page),))

    assert steps_in(path) == [*range(1, 201), 200, *range(202, 273)]
    assert not any(isinstance(message, wire.Notice) for message in read_run(path))


def test_another_recorder_goes_on_in_the_same_file(path):
    write(RunFile.create(path), 1, 20)
    file = RunFile.create(path)

    assert (file.last_seq, file.last_step) == (20, 320)
    write(file, 21, 40)
    assert steps_in(path) == list(range(1, 641))


def test_a_failed_write_leaves_nothing_behind_and_can_be_repeated(path):
    file = RunFile.create(path)
    write(file, 1, 15)

    with pytest.raises(sqlite3.IntegrityError):
        file.write(Changes(batches=[(batch(seq), wire.encode(batch(seq))) for seq in (16, 17, 17)]))
    assert steps_in(path) == list(range(1, 241))
    write(file, 16, 17)

    assert steps_in(path) == list(range(1, 273))


def test_a_closed_file_is_one_plain_file(path):
    file = RunFile.create(path)
    write(file, 1, 40)
    file.close()

    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert steps_in(path) == list(range(1, 641))


def test_a_file_that_is_closed_while_it_is_read_becomes_plain_all_the_same(path):
    file = RunFile.create(path)
    write(file, 1, 40)
    reading = read_run(path)
    next(reading)
    closing = threading.Thread(target=reading.close)
    closing.start()
    file.close()
    closing.join()

    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_reader_sees_a_file_as_it_was_when_it_began(path):
    file = RunFile.create(path)
    write(file, 1, 3)
    reading = read_run(path)
    next(reading)
    write(file, 4, 40)

    assert [message.seq for message in reading] == [2, 3]


def test_a_file_that_is_no_database_is_named_in_one_line(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n1,2\n")

    with pytest.raises(RunFileError, match=r"log\.csv is not a run file of Bedside's\.$"):
        next(read_run(path))


def test_another_programs_database_is_not_taken_for_a_run(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE a (b)")

    with pytest.raises(RunFileError, match=r"other\.db is not a run file of Bedside's\.$"):
        next(read_run(path))


def test_a_file_of_a_newer_version_says_what_to_do(path):
    RunFile.create(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=7")

    with pytest.raises(RunFileError, match=r"its tables are version 7, .* Install the newest Bedside here, too.$"):
        next(read_run(path))


def test_a_file_that_was_only_just_made_says_so(tmp_path):
    path = tmp_path / "new.bedside"
    path.touch()

    with pytest.raises(RunFileError, match=r"new\.bedside has nothing in it yet\.$"):
        next(read_run(path))


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(RunFileError, match="cannot be read: No such file or directory"):
        next(read_run(tmp_path / "none.bedside"))


def test_a_damaged_file_is_said_to_be_damaged(path):
    file = RunFile.create(path)
    write(file, 1, 200)
    file.close()
    content = bytearray(path.read_bytes())
    content[8192:-4096] = b"\xff" * (len(content) - 12288)
    path.write_bytes(content)

    with pytest.raises(RunFileError, match=r"run#1\?\.bedside is damaged: "):
        list(read_run(path))


def test_a_run_in_memory_forgets_its_oldest_pages_first(path):
    file = RunFile.create(None)
    write(file, 1, 320)
    size = sum(len(frame) for _, frame in file.batches_after(0))

    assert file.forget_pages(size) is False
    assert file.forget_pages(size // 2) is True
    kept = [b for b, _ in file.batches_after(0)]
    assert kept[-1].seq == 320
    assert size // 3 < sum(len(wire.encode(b)) for b in kept) <= size // 2


def test_the_file_carries_its_application_id(path):
    RunFile.create(path).close()

    assert int.from_bytes(path.read_bytes()[68:72], "big") == APPLICATION_ID


def test_on_a_network_file_system_the_journal_is_one_that_is_safe_there(path, monkeypatch):
    monkeypatch.setattr("monitor.record.filesystem.is_remote", lambda _: True)
    file = RunFile.create(path)
    write(file, 1, 20)

    assert steps_in(path) == list(range(1, 321))
    assert sorted(beside.name for beside in path.parent.iterdir()) == [path.name, f"{path.name}-journal"]
    assert file._db.execute("PRAGMA journal_mode").fetchone() == ("truncate",)


@pytest.mark.parametrize("other", [{"run_id": "fedcba98"}, {"rank": 1}, {"started_s": 1.0}])
def test_a_run_that_was_kept_in_memory_is_never_put_into_the_file_of_another_one_or_of_an_earlier_part(path, other):
    earlier = RunFile.create(path)
    write(earlier, 1, 3, meta={"hello": wire.encode(msgspec.structs.replace(HELLO, **other))})
    earlier.close()
    memory = RunFile.create(None)
    write(memory, 1, 5, meta={"hello": wire.encode(HELLO)})

    with pytest.raises(RunFileError, match="it is the file of another run"):
        memory.reopened(path)
    assert steps_in(path) == list(range(1, 49))
