"""The registry entry that a recorder keeps in its place."""

import os
import time

import pytest

from monitor.record import registry
from monitor.record.entry import LOOK_S, TOUCH_S, Entry

ID = "aaaaaaaa"


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Where the entry lies."""
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))
    return registry.entry_path(ID, 0)


@pytest.fixture
def after(monkeypatch):
    """Lets an entry take its turn so many seconds later."""
    now = [time.monotonic()]
    monkeypatch.setattr("monitor.record.entry.time.monotonic", lambda: now[0])

    def after(entry: Entry, seconds: float, *, is_heard: bool = True) -> None:
        now[0] += seconds
        entry.turn(is_heard=is_heard)

    return after


def served(**fields) -> registry.LiveRun:
    own = {"run_id": ID, "name": "toy", "host": registry.hostname(), "where": registry.where(), "started_s": 1e9}
    own |= {"pid": os.getpid(), "recorder_pid": os.getpid(), "file": "/f", "live": "ipc://l", "ask": "ipc://a"}
    return registry.LiveRun(**{**own, **fields})


def test_an_entry_that_was_deleted_is_written_again_within_a_second(path, after):
    entry = Entry(pytest.fail)
    entry.say(served())
    path.unlink()

    after(entry, LOOK_S / 2)
    assert not path.exists()
    after(entry, LOOK_S)
    assert registry.read_entry(path) == served()


@pytest.mark.parametrize("other", [b"{", None])
def test_an_entry_of_something_dead_or_broken_is_replaced(path, after, other):
    entry = Entry(pytest.fail)
    entry.say(served())
    if other is None:
        registry.register(served(recorder_pid=2**22 + 1))
    else:
        path.write_bytes(other)

    after(entry, LOOK_S, is_heard=False)
    assert registry.read_entry(path) == served()


def test_the_entry_of_a_later_part_of_the_run_is_left_alone(path, after):
    entry, later = Entry(pytest.fail), served(started_s=1e9 + 1, recorder_pid=os.getppid())
    entry.say(served())
    registry.register(later)

    after(entry, LOOK_S)
    entry.remove()
    assert registry.read_entry(path) == later


def test_of_two_living_recorders_the_one_that_hears_the_training_has_the_entry(path, after):
    entry, other = Entry(pytest.fail), served(recorder_pid=os.getppid())
    entry.say(served())
    registry.register(other)

    after(entry, LOOK_S, is_heard=False)
    entry.remove()
    assert registry.read_entry(path) == other
    after(entry, LOOK_S, is_heard=True)
    assert registry.read_entry(path) == served()
    entry.remove()
    assert not path.exists()


def test_it_is_touched_so_that_who_cannot_see_the_process_knows_that_it_lives(path, after):
    entry = Entry(pytest.fail)
    entry.say(served())
    os.utime(path, (0, 0))

    after(entry, TOUCH_S / 2)
    assert path.stat().st_mtime == 0
    after(entry, TOUCH_S / 2)
    assert time.time() - path.stat().st_mtime < 10


def test_one_that_could_not_be_written_is_tried_again_and_that_is_said_once(path, after):
    said = []
    entry = Entry(said.append)
    path.parent.write_text("a file in the way")

    entry.say(served())
    after(entry, LOOK_S)
    path.parent.unlink()
    after(entry, LOOK_S)
    assert said == [f"'bedside' cannot find this run: {registry.home()} cannot be written (File exists)."]
    assert registry.read_entry(path) == served()


def test_what_could_not_become_an_entry_is_not_left_behind(path):
    path.mkdir(parents=True)

    with pytest.raises(OSError, match="directory"):
        registry.register(served())
    assert list(path.parent.iterdir()) == [path]
