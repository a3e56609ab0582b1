"""A logout takes the folder of the sockets away while the training goes on: whoever comes later finds the run."""

import os
import shutil
import signal

import pytest
import zmq
from histories import recorded, same
from toy_run import until
from viewer import shown

from monitor.record.sockets import Sockets
from monitor.session import Session
from probe import runtime


@pytest.fixture
def folder(tmp_path_factory):
    """Of this test's runs only, with a name that is short enough for sockets."""
    folder = tmp_path_factory.mktemp("s")
    folder.chmod(0o700)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


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


def test_a_recorder_that_dies_after_that_is_followed_by_one_that_is_reached(toy_run, watch, folder):
    process = toy_run.train(10_000_000, "wait", 0.001, SOCKETS=str(folder))
    before = toy_run.wait_live()
    early = watch(toy_run.run_id)
    until(lambda: early.latest().step > 300)

    shutil.rmtree(folder)
    until(lambda: (live := toy_run.live()) and live.live != before.live)
    os.kill(before.recorder_pid, signal.SIGKILL)
    after = until(lambda: (live := toy_run.live()) and live.recorder_pid != before.recorder_pid and live)
    seen = early.latest().step
    until(lambda: early.latest().step > seen + 1000, timeout_s=30.0)
    process.kill()
    process.wait()

    until(lambda: is_over(early))
    assert after.live == f"ipc://{runtime.socket_folder() / toy_run.run_id}.live"
    same(shown(early), recorded(toy_run))


def test_a_folder_that_goes_before_the_training_has_come_in_costs_no_step(toy_run, folder):
    process = toy_run.train(2000, "finished", 0.001, SOCKETS=str(folder))
    until((folder / f"{toy_run.run_id}.ask").exists)
    shutil.rmtree(folder)
    process.wait()
    toy_run.live()

    assert until(toy_run.committed_steps)[0] == 1
    until(lambda: toy_run.committed_steps() == list(range(1, 2001)))


@pytest.mark.parametrize("error", [PermissionError(13, "no"), FileNotFoundError(2, "no usable temporary directory")])
def test_names_that_cannot_be_given_yet_are_given_later(folder, monkeypatch, error):
    context = zmq.Context()
    sockets = Sockets(context, "0a0a0a0a", folder)
    sockets.bind()
    shutil.rmtree(folder)

    def no_folder():
        raise error

    monkeypatch.setattr(runtime, "socket_folder", no_folder)
    assert not sockets.restored()
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(runtime, "socket_folder", lambda: folder)
    monkeypatch.setattr("monitor.record.sockets.LOOK_S", 0.0)
    assert until(sockets.restored)
    assert sorted(name.name for name in folder.iterdir()) == ["0a0a0a0a.ask", "0a0a0a0a.in", "0a0a0a0a.live"]
    sockets.remove()
    assert list(folder.iterdir()) == []
    context.destroy(linger=0)


def test_a_name_that_is_anothers_by_now_is_left_to_it(folder):
    context = zmq.Context()
    one, other = Sockets(context, "0a0a0a0a", folder), Sockets(context, "0a0a0a0a", folder)
    one.bind()
    other.bind()
    one.remove()
    assert len(list(folder.iterdir())) == 3
    other.remove()
    assert list(folder.iterdir()) == []
    context.destroy(linger=0)
