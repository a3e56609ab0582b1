"""Which runs `bedside runs --prune` takes, over real run files."""

import os
import pty
import subprocess
import sys
import time

import pytest
from toy_run import ROOT

from monitor import cli
from monitor.record import registry
from monitor.record.naming import run_path
from monitor.record.retention import prunable
from monitor.record.runfile import Changes, RunFile
from probe import wire

DAY_S = 86_400.0


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Makes the file of a run that ended so many days ago."""
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))

    def make(run_id: str, days: float, *, is_over: bool = True, **fields):
        ended_s = time.time() - DAY_S * days
        hello = wire.Hello(schema=1, run_id=run_id, name="toy", started_s=ended_s - 60, **fields)
        path = run_path(hello)
        file = RunFile.create(path)
        goodbye = wire.Goodbye(time_s=ended_s, reason="finished")
        meta = {"hello": wire.encode(hello), **({"goodbye": wire.encode(goodbye)} if is_over else {})}
        file.write(Changes(meta=meta))
        file.close()
        return path

    return make


def ids(days: float = 0.0, keep: int = 0) -> list[str]:
    return [run.run_id for run in prunable(before_s=time.time() - DAY_S * days, keep=keep)]


def test_runs_that_ended_before_then_may_go_newest_first(made):
    made("aaaaaaaa", 40)
    made("bbbbbbbb", 35)
    made("cccccccc", 3)

    assert ids(days=30) == ["bbbbbbbb", "aaaaaaaa"]


def test_the_newest_stay_however_old(made):
    made("aaaaaaaa", 40)
    made("bbbbbbbb", 35)

    assert ids(keep=1) == ["aaaaaaaa"]
    assert ids(days=30, keep=2) == []


def test_a_run_that_is_not_over_stays(made):
    made("aaaaaaaa", 40, is_over=False)

    assert ids() == []


def test_a_run_that_is_served_stays_though_its_file_has_a_goodbye(made, monkeypatch):
    path = made("aaaaaaaa", 40)
    entry = {
        "run_id": "aaaaaaaa",
        "name": "toy",
        "host": registry.hostname(),
        "pid": os.getpid(),
        "live": "",
        "ask": "",
    }
    registry.register(registry.LiveRun(**entry, recorder_pid=os.getpid(), started_s=0.0, file=str(path)))

    assert ids() == []


def test_a_file_that_cannot_be_read_stays(made):
    path = made("aaaaaaaa", 40)
    path.write_bytes(b"SQLite format 3\0" + bytes(5000))

    assert ids() == []


def test_what_a_remaining_run_was_resumed_from_stays_with_all_before_it(made):
    made("aaaaaaaa", 50)
    made("bbbbbbbb", 40, resumes="aaaaaaaa")
    made("cccccccc", 3, resumes="bbbbbbbb")
    made("dddddddd", 45)

    assert ids(days=30) == ["dddddddd"]
    assert ids() == ["cccccccc", "bbbbbbbb", "dddddddd", "aaaaaaaa"]


def test_a_job_goes_when_each_of_its_ranks_has_ended(made):
    made("aaaaaaaa", 40, world_size=2)
    made("aaaaaaaa", 40, world_size=2, rank=1, is_over=False)
    made("bbbbbbbb", 41, world_size=2)
    made("bbbbbbbb", 41, world_size=2, rank=1)

    (run,) = prunable(before_s=time.time(), keep=0)

    assert (run.run_id, len(run.paths)) == ("bbbbbbbb", 2)


def test_without_a_terminal_it_lists_and_deletes_nothing(made, capsys, monkeypatch):
    path = made("aaaaaaaa", 40)
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: PTH123, SIM115

    status = cli.main(["runs", "--prune", "--older", "30"])

    assert status == 0
    listed, said = capsys.readouterr().out.splitlines()
    assert listed.startswith("aaaaaaaa  ended ")
    assert said == "nothing is deleted; --yes deletes without asking"
    assert path.exists()


def test_yes_deletes_the_file_and_what_lies_beside_it(made, capsys):
    path, kept = made("aaaaaaaa", 40), made("bbbbbbbb", 3)
    beside = path.with_name(path.name + "-wal")
    beside.write_bytes(b"")

    status = cli.main(["runs", "--prune", "--older", "30", "--yes"])

    assert status == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("deleted 1 run, ")
    assert (path.exists(), beside.exists(), kept.exists()) == (False, False, True)


@pytest.mark.parametrize("words", [["--prune"], ["--older", "3"], ["--yes"]])
def test_which_runs_has_to_be_said(made, capsys, words):
    path = made("aaaaaaaa", 40)

    assert cli.main(["runs", *words]) == 2
    assert "--older DAYS or --keep N" in capsys.readouterr().err
    assert path.exists()


@pytest.mark.parametrize(("answer", "is_there"), [("y\n", False), ("n\n", True), ("\n", True), ("\x04", True)])
def test_at_a_terminal_it_asks(made, tmp_path, answer, is_there):
    path = made("aaaaaaaa", 40)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "monitor", "runs", "--prune", "--older", "30"]
    env = {**os.environ, "BEDSIDE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}

    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        said = b""
        while b"Delete 1 run" not in said:
            said += os.read(ours, 1024)
        os.write(ours, answer.encode())
        assert process.wait(timeout=30) == 0
    os.close(ours)

    assert path.exists() is is_there
