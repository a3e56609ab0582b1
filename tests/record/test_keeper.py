import os
import shutil
import sqlite3
import time

import numpy as np
import pytest
from toy_run import until

from monitor.record import registry
from monitor.record.keeper import Keeper
from monitor.record.pages import first_seq
from monitor.record.runfile import read_run
from monitor.rows import steps_of
from probe import packing, wire

PROCESSES = registry.Processes(host=registry.hostname(), pid=os.getpid(), recorder_pid=os.getpid())


def batch(seq: int, rows: int = 32, **beside) -> wire.Batch:
    steps = [float(rows * (seq - 1) + row + 1) for row in range(rows)]
    return wire.Batch(seq=seq, start=int(steps[0]), rows=rows, times_s=packing.pack_floats(steps), **beside)


def put(keeper: Keeper, *seqs: int) -> None:
    for seq in seqs:
        keeper.batch(batch(seq), wire.encode(batch(seq)))


def seqs(keeper: Keeper, after: int = 0) -> list[int]:
    return [found.seq for found, _ in keeper.batches_after(after)]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def keeper(tmp_path, said) -> Keeper:
    return Keeper(tmp_path / "runs" / "a.bedside", said.append)


def test_what_waits_for_its_commit_is_served_as_well(keeper):
    put(keeper, 1, 2)
    keeper.commit()
    put(keeper, 3)

    assert seqs(keeper) == [1, 2, 3]
    assert seqs(keeper, after=2) == [3]
    assert not keeper.is_clean


def test_a_goodbye_that_waits_comes_last(keeper):
    goodbye = wire.encode(wire.Goodbye(time_s=0.0, reason="finished"))
    keeper.goodbye(goodbye)
    keeper.notice(b"notice")

    assert keeper.others() == [b"notice", goodbye]


def test_a_gap_takes_the_place_of_what_still_waits(keeper):
    put(keeper, 1, 2)
    keeper.commit()
    put(keeper, 3, 4, 5)

    keeper.replace(wire.Batch(seq=4, first_seq=1, marks=[wire.Mark(step=1, time_s=0.0, text="lost", kind="gap")]))
    keeper.commit()

    (page, gap, last) = [found for found, _ in keeper.batches_after(1)]
    assert (page.seq, gap.first_seq, gap.seq, gap.rows, last.seq) == (2, 3, 4, 0, 5)


def test_a_gap_in_the_place_of_what_waits_begins_behind_what_does_not_and_says_nothing_twice(keeper):
    lost, early, late = (
        wire.Mark(step=step, time_s=0.0, text=text, kind=kind)
        for step, text, kind in ((1, "lost", "gap"), (32, "early", "user"), (64, "late", "user"))
    )
    early_fact, late_fact = (wire.Fact(step=step, name=f"at {step}", value=1) for step in (32, 64))
    for one in (batch(1, marks=[early], facts=[early_fact]), batch(2)):
        keeper.batch(one, wire.encode(one))
    keeper.commit()
    waits = batch(3, marks=[late], facts=[late_fact])
    keeper.batch(waits, wire.encode(waits))

    keeper.replace(wire.Batch(seq=3, first_seq=1, marks=[lost, early, late], facts=[early_fact, late_fact]))
    keeper.commit()

    (gap,) = keeper.recorded(2)
    assert (gap.first_seq, gap.seq, gap.rows) == (3, 3, 0)
    assert [(mark.step, mark.text) for mark in gap.marks] == [(65, "lost"), (64, "late")]
    assert gap.facts == [late_fact]


def test_the_rest_of_a_gap_says_what_nothing_that_came_has_said(keeper):
    lost, arrived, missing = (
        wire.Mark(step=step, time_s=0.0, text=text, kind=kind)
        for step, text, kind in ((1, "lost", "gap"), (64, "arrived", "user"), (64, "missing", "user"))
    )
    for one in (batch(1), batch(2, marks=[arrived])):
        keeper.batch(one, wire.encode(one))
    keeper.commit()

    rest = keeper.rest_of(wire.Batch(seq=4, first_seq=1, marks=[lost, arrived, missing]))

    assert (rest.first_seq, rest.seq) == (3, 4)
    assert [(mark.step, mark.text) for mark in rest.marks] == [(65, "lost"), (64, "missing")]


def test_a_batch_that_comes_again_after_its_commit_changes_nothing(keeper):
    put(keeper, 1, 2)
    keeper.commit()
    keeper.replace(batch(2))

    assert keeper.is_clean
    assert seqs(keeper) == [1, 2]


def test_without_a_file_the_newest_part_stays_in_memory_and_both_is_said(tmp_path, said):
    (tmp_path / "runs").write_text("in the way")
    keeper = Keeper(tmp_path / "runs" / "a.bedside", said.append, memory_bytes=20_000)
    for seq in range(1, 201):
        put(keeper, seq)
        keeper.commit()

    assert keeper.path is None
    assert seqs(keeper)[0] > 1
    assert seqs(keeper)[-1] == 200
    assert [text.partition(":")[0] for text in said] == [
        "This run is not on disk",
        "The oldest steps of this run are forgotten",
    ]


def test_a_closed_record_is_whole(keeper):
    keeper.hello(wire.encode(wire.Hello(schema=1, run_id="0123abcd", name="toy", started_s=0.0)), PROCESSES)
    put(keeper, 1)
    keeper.close()

    assert [type(message).__name__ for message in read_run(keeper.path)] == ["Hello", "Batch"]


def test_a_reader_that_stands_still_holds_up_nobody_where_there_is_no_write_ahead_log(tmp_path, monkeypatch, said):
    monkeypatch.setattr("monitor.record.filesystem.is_remote", lambda _: True)
    keeper = Keeper(tmp_path / "runs" / "a.bedside", said.append)
    keeper.notice(wire.encode(wire.Notice(text="before")))
    put(keeper, *range(1, 401))
    keeper.commit()
    expected = list(read_run(keeper.path))
    reading = read_run(keeper.path)
    begun = [next(reading), next(reading)]

    keeper.notice(wire.encode(wire.Notice(text="after")))
    put(keeper, *range(401, 801))
    began_s = time.monotonic()

    assert keeper.commit()
    assert time.monotonic() - began_s < 1.0
    assert [*begun, *reading] == expected
    assert said == []


def test_a_file_that_another_program_holds_is_said_to_be_held(keeper, said):
    with sqlite3.connect(keeper.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        put(keeper, 1)
        assert not keeper.commit()
        other.execute("ROLLBACK")
    other.close()

    (text,) = said
    assert text.startswith(f"The run file {keeper.path} cannot be written (database is locked). ")
    assert text.endswith(" A program that reads it holds it: end that.")


def test_what_memory_holds_goes_behind_what_the_file_has(tmp_path, said):
    path = tmp_path / "runs" / "a.bedside"
    before = Keeper(path, said.append)
    put(before, *range(1, 21))
    before.close()
    path.parent.rename(tmp_path / "away")
    path.parent.write_text("in the way")
    moved = []
    keeper = Keeper(path, said.append, moved.append)
    put(keeper, *range(13, 61))  # what was not acknowledged comes again
    gap = wire.Batch(seq=64, first_seq=61, marks=[wire.Mark(step=1921, time_s=0.0, text="lost", kind="gap")])
    keeper.batch(gap, wire.encode(gap))
    keeper.commit()
    path.parent.unlink()
    (tmp_path / "away").rename(path.parent)
    keeper.close()

    found = [message for message in read_run(path) if isinstance(message, wire.Batch)]
    assert np.concatenate([steps_of(one) for one in found]).tolist() == list(range(1, 60 * 32 + 1))
    assert [first_seq(after) for after in found[1:]] == [one.seq + 1 for one in found[:-1]]
    assert found[-1].seq == 64
    assert moved == [True]
    for cut in range(64):
        rest = [message for message in read_run(path, cut) if isinstance(message, wire.Batch)]
        assert np.concatenate([steps_of(one) for one in rest]).tolist() == list(range(min(cut, 60) * 32 + 1, 1921))


def test_a_file_that_is_deleted_when_the_run_is_complete_stays_deleted(tmp_path, said):
    path = tmp_path / "runs" / "a.bedside"
    keeper = Keeper(path, said.append)
    put(keeper, 1)
    keeper.goodbye(wire.encode(wire.Goodbye(time_s=0.0, reason="finished")))
    keeper.commit()
    path.unlink()
    keeper.close()

    assert said == []
    assert not path.exists()


def test_what_lies_in_the_place_of_a_deleted_file_is_left_alone_and_the_run_goes_on_beside_it(tmp_path, said):
    path = tmp_path / "runs" / "20260101T000000-toy-0123abcd.bedside"
    keeper = Keeper(path, said.append)
    put(keeper, *range(1, 21))
    keeper.commit()
    path.unlink()
    path.write_text("something else")
    put(keeper, *range(21, 31))
    keeper.close()

    beside = path.with_name("20260101T000000-toy.again-0123abcd.bedside")
    found = [message for message in read_run(beside) if isinstance(message, wire.Batch)]
    assert path.read_text() == "something else"
    assert np.concatenate([steps_of(one) for one in found]).tolist() == list(range(1, 30 * 32 + 1))
    assert said == [f"In the place of the run file {path} lies another; all of the run is in {beside} now."]
    assert sorted(path.parent.iterdir()) == sorted([path, beside])


def test_a_file_that_cannot_be_written_anew_is_said_to_be_gone_once_and_written_when_it_can_be(tmp_path, said):
    path = tmp_path / "runs" / "a.bedside"
    keeper = Keeper(path, said.append)
    put(keeper, *range(1, 21))
    keeper.commit()
    shutil.rmtree(path.parent)
    path.parent.write_text("in the way")
    until(lambda: keeper.commit() or said)
    path.parent.unlink()
    put(keeper, *range(21, 31))
    keeper.close()

    found = [message for message in read_run(path) if isinstance(message, wire.Batch)]
    assert np.concatenate([steps_of(one) for one in found]).tolist() == list(range(1, 30 * 32 + 1))
    assert [text.removeprefix(f"The run file {path} ").partition(" (")[0] for text in said] == [
        "is gone and cannot be written again",
        "was deleted or replaced; it is written again, with all of the run.",
    ]


def test_without_a_write_ahead_log_a_deleted_file_is_written_again_at_the_next_commit(tmp_path, monkeypatch, said):
    monkeypatch.setattr("monitor.record.filesystem.is_remote", lambda _: True)
    keeper = Keeper(tmp_path / "runs" / "a.bedside", said.append)
    put(keeper, *range(1, 21))
    keeper.commit()
    shutil.rmtree(keeper.path.parent)
    put(keeper, *range(21, 31))

    assert keeper.commit()
    found = [message for message in read_run(keeper.path) if isinstance(message, wire.Batch)]
    assert np.concatenate([steps_of(one) for one in found]).tolist() == list(range(1, 30 * 32 + 1))
    assert said == [f"The run file {keeper.path} was deleted or replaced; it is written again, with all of the run."]
