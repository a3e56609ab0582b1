import time

import pytest

from monitor.record.naming import run_path
from monitor.record.runfile import Changes, RunFile
from probe import wire

#: 2001-09-09 01:46:40 UTC.
BEGUN_S = 1e9


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def timezone(monkeypatch):
    """Sets the timezone of this process; it is UTC at first."""

    def set_(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    set_("UTC")
    yield set_
    monkeypatch.undo()
    time.tzset()


def hello(run_id: str = "aaaaaaaa", name: str = "toy", started_s: float = BEGUN_S, rank: int = 0) -> wire.Hello:
    return wire.Hello(schema=1, run_id=run_id, name=name, started_s=started_s, rank=rank)


def record(hello: wire.Hello):
    """What a recorder of it does first."""
    path = run_path(hello)
    file = RunFile.create(path)
    file.write(Changes(meta={"hello": wire.encode(hello)}))
    file.close()
    return path


def test_a_run_file_is_named_by_time_name_and_id(home):
    path = run_path(hello("0123abcd", "res/net: 18", BEGUN_S + 0.9))

    assert path == home / "runs" / "20010909T014640-res_net_18-0123abcd.bedside"


def test_a_run_file_that_is_there_is_found_again_from_another_timezone(timezone):
    paths = [record(hello(rank=rank)) for rank in (0, 1)]
    (record(hello("bbbbbbbb")).parent / "a copy-cccccccc.bedside").touch()
    timezone("XYZ-9:30")

    assert [run_path(hello(rank=rank)) for rank in (0, 1)] == paths
    assert run_path(hello(rank=11)).name == "20010909T111640-toy-aaaaaaaa.r11.bedside"
    assert run_path(hello("cccccccc")).name == "20010909T111640-toy-cccccccc.bedside"


@pytest.mark.parametrize(("later_s", "name"), [
    (0.25, "20010909T014641-toy-aaaaaaaa.r1.bedside"),
    (10.0, "20010909T014650-toy-aaaaaaaa.r1.bedside"),
])  # fmt: skip
def test_a_rank_that_is_entered_again_has_a_file_of_its_own_also_in_the_same_second(later_s, name):
    first = record(hello(rank=1))
    again = record(hello(rank=1, started_s=BEGUN_S + later_s))

    assert (first.name, again.name) == ("20010909T014640-toy-aaaaaaaa.r1.bedside", name)
    assert run_path(hello(rank=1)) == first
    assert run_path(hello(rank=1, started_s=BEGUN_S + later_s)) == again


def test_a_file_in_which_no_run_has_begun_yet_is_the_runs_whose_name_it_has():
    path = run_path(hello())
    RunFile.create(path).close()

    assert run_path(hello()) == path
    assert run_path(hello(started_s=BEGUN_S + 10)) != path
