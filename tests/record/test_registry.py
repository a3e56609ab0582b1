import os
import socket

import pytest

from monitor.commands import watching
from monitor.record import filesystem, registry
from monitor.record.naming import run_path
from probe import wire


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))
    return tmp_path


def make_file(run_id: str, name: str, started_s: float = 1e9, rank: int = 0):
    hello = wire.Hello(schema=1, run_id=run_id, name=name, started_s=started_s, rank=rank)
    path = run_path(hello)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    return path


def make_live(run_id: str, name: str, file="", **fields) -> registry.LiveRun:
    own = {"host": registry.hostname(), "pid": os.getpid(), "recorder_pid": os.getpid(), "started_s": 2e9}
    own |= {"run_id": run_id, "name": name, "file": str(file), "live": "ipc://l", "ask": "ipc://a"}
    run = registry.LiveRun(**{**own, **fields})
    registry.register(run)
    return run


def test_run_files_are_listed_newest_first():
    make_file("aaaaaaaa", "old", 1e9)
    make_file("bbbbbbbb", "new-er", 1.5e9)

    assert [(run.run_id, run.name, run.started_s) for run in registry.run_files()] == [
        ("bbbbbbbb", "new-er", 1.5e9),
        ("aaaaaaaa", "old", 1e9),
    ]


def test_a_live_run_carries_its_entry_and_its_true_name():
    path = make_file("aaaaaaaa", "res/net")
    live = make_live("aaaaaaaa", "res/net", path)

    (run,) = registry.run_files()

    assert (run.name, run.path, run.live) == ("res/net", path, live)


def test_a_live_run_without_a_file_is_listed_too():
    live = make_live("aaaaaaaa", "in memory")

    assert [(run.path, run.live) for run in registry.run_files()] == [(None, live)]


def test_the_entry_of_a_dead_recorder_is_removed(home):
    make_live("aaaaaaaa", "dead", pid=2**22 + 1, recorder_pid=2**22 + 2)

    assert registry.live_runs() == []
    assert list((home / "live").iterdir()) == []


def test_a_process_id_that_was_used_again_does_not_count_as_the_recorder():
    ticks = registry.start_ticks(os.getpid()) + 1
    make_live("aaaaaaaa", "dead", recorder_ticks=ticks)

    assert registry.live_runs() == []


def test_an_entry_of_another_host_is_believed():
    run = make_live("aaaaaaaa", "far", host=socket.gethostname() + "-2", recorder_pid=2**22 + 2)

    assert registry.live_runs() == [run]


def test_an_entry_that_cannot_be_read_is_passed_over(home):
    run = make_live("aaaaaaaa", "toy")
    (home / "live" / "bbbbbbbb.json").write_text("{")

    assert registry.live_runs() == [run]


@pytest.mark.parametrize("text", ["aaaaaaaa", "aaaa", "toy", "to/y", "to_y"])
def test_a_run_is_found_by_id_by_its_beginning_and_by_name(text):
    make_file("aaaaaaaa", "to/y" if "t" in text and text != "toy" else "toy")
    make_file("bbbbbbbb", "other")

    assert registry.find(text).run_id == "aaaaaaaa"


def test_a_run_is_found_by_its_path():
    path = make_file("aaaaaaaa", "toy")

    assert registry.find(str(path)).path == path


def test_any_other_file_is_found_by_its_path(tmp_path):
    path = tmp_path / "copy.bedside"
    path.touch()

    assert (registry.find(str(path)).path, registry.find(str(path)).name) == (path, "copy")


def test_of_several_of_a_name_the_live_one_is_meant():
    make_file("aaaaaaaa", "toy")
    path = make_file("bbbbbbbb", "toy", 1.1e9)
    make_file("cccccccc", "toy", 1.2e9)
    make_live("bbbbbbbb", "toy", path)

    assert registry.find("toy").run_id == "bbbbbbbb"


def test_an_ambiguous_name_is_refused_with_the_candidates():
    make_file("aaaaaaaa", "toy", 1e9)
    make_file("bbbbbbbb", "toy", 1.1e9)

    with pytest.raises(registry.AmbiguousRun) as error:
        registry.find("toy")

    assert str(error.value) == "2 runs match 'toy'; give the id: bbbbbbbb (toy), aaaaaaaa (toy)."


def test_a_run_that_is_not_there_is_answered_with_those_that_are():
    make_file("aaaaaaaa", "toy")

    with pytest.raises(registry.RunNotFound) as error:
        registry.find("tyo")

    assert str(error.value) == "No run has the name, id or path 'tyo'. Known are aaaaaaaa (toy)."


def test_without_any_run_the_folder_is_named(home):
    with pytest.raises(registry.RunNotFound, match=f"There are no runs in {home} yet"):
        registry.find("toy")


def test_rank_0_stands_for_a_job_of_several_ranks():
    make_file("aaaaaaaa", "job", rank=1)
    make_file("aaaaaaaa", "job")

    assert registry.find("job").rank == 0


def test_a_job_of_several_ranks_is_one_run_and_its_lowest_rank_stands_for_it():
    make_file("aaaaaaaa", "job", started_s=1e9 + 2, rank=1)
    make_file("aaaaaaaa", "job", started_s=1e9)
    make_file("bbbbbbbb", "half", started_s=1e9 + 1, rank=3)
    make_file("cccccccc", "other", started_s=1e9 - 1)

    assert [(run.run_id, run.rank) for run in registry.runs()] == [("aaaaaaaa", 0), ("bbbbbbbb", 3), ("cccccccc", 0)]
    assert [row.run_id for row in watching.run_rows()] == ["aaaaaaaa", "bbbbbbbb", "cccccccc"]


def test_the_longest_mount_point_decides_the_file_system(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path}/far\\040away nfs4 rw 0 0\n")

    assert filesystem.is_remote(tmp_path / "far away" / "runs" / "a.bedside", mounts)
    assert not filesystem.is_remote(tmp_path / "far", mounts)
    assert filesystem.kind_of(tmp_path, mounts) == "ext4"
