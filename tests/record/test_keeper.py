import os

import pytest

from monitor.record import registry
from monitor.record.keeper import Keeper
from monitor.record.runfile import read_run
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
