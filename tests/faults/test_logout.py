"""A logout takes the folder of the sockets away while the training goes on: whoever comes later finds the run."""

import os
import shutil
import signal

import pytest
from histories import recorded, same
from toy_run import until
from viewer import shown

from monitor.commands.watching import resolve
from monitor.session import Session
from probe import runtime


@pytest.fixture
def folder(tmp_path_factory):
    """Of this test's runs only, with a name that is short enough for sockets."""
    folder = tmp_path_factory.mktemp("s")
    folder.chmod(0o700)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def watch():
    sessions = []

    def watch(run_id: str) -> Session:
        sessions.append(Session(resolve(run_id).feed))
        sessions[-1].start()
        return sessions[-1]

    yield watch
    for session in sessions:
        session.close()


def is_over(session: Session) -> bool:
    return session.latest().state.is_over


def test_names_that_are_taken_away_come_back_and_a_monitor_that_is_there_misses_nothing(toy_run, watch):
    process = toy_run.train(10_000_000, "wait", 0.001)
    live = toy_run.wait_live()
    early = watch(toy_run.run_id)
    until(lambda: early.latest().step > 300)

    names = list(runtime.socket_folder().glob(f"{toy_run.run_id}.*"))
    for name in names:
        name.unlink()
    until(lambda: all(name.is_socket() for name in names))
    late = watch(toy_run.run_id)
    until(lambda: late.latest().step > 300)
    process.kill()
    process.wait()

    until(lambda: is_over(early) and is_over(late))
    assert sorted(name.suffix for name in names) == [".ask", ".in", ".live"]
    assert live.recorder_pid in toy_run.recorders and len(toy_run.recorders) == 1
    same(shown(early), recorded(toy_run))
    same(shown(late), recorded(toy_run))


def test_a_run_whose_folder_is_gone_is_served_from_another_one(toy_run, watch, folder):
    process = toy_run.train(10_000_000, "wait", 0.001, SOCKETS=str(folder))
    before = toy_run.wait_live()
    early = watch(toy_run.run_id)
    until(lambda: early.latest().step > 300)

    shutil.rmtree(folder)
    after = until(lambda: (live := toy_run.live()) and live.live != before.live and live)
    late = watch(toy_run.run_id)
    until(lambda: late.latest().step > early.latest().step - 100 > 300)
    process.kill()
    process.wait()

    until(lambda: is_over(early) and is_over(late))
    assert before.live == f"ipc://{folder / toy_run.run_id}.live"
    assert after.live == f"ipc://{runtime.socket_folder() / toy_run.run_id}.live"
    assert after.recorder_pid == before.recorder_pid
    same(shown(early), recorded(toy_run))
    same(shown(late), recorded(toy_run))


def test_a_recorder_that_dies_after_that_is_followed_by_one_that_is_reached(toy_run, folder):
    process = toy_run.train(3000, "finished", 0.001, SOCKETS=str(folder))
    before = toy_run.wait_live()
    until(lambda: len(toy_run.committed_steps()) > 300)

    shutil.rmtree(folder)
    os.kill(before.recorder_pid, signal.SIGKILL)
    after = until(lambda: (live := toy_run.live()) and live.recorder_pid != before.recorder_pid and live)
    process.wait()
    toy_run.wait_recorder_gone()

    assert after.live == f"ipc://{runtime.socket_folder() / toy_run.run_id}.live"
    assert toy_run.committed_steps() == list(range(1, 3001))
