"""The whole way to the screen: sender, recorder, live feed and session, with real processes and sockets."""

import os
import signal

import numpy as np
import pytest
import toy_trainer
from toy_run import points, until

from monitor.commands.watching import live_feed
from monitor.model import Link, RunState
from monitor.record.runfile import read_run
from monitor.session import Session


@pytest.fixture
def watched():
    """Opens a session on a live run."""
    sessions = []

    def watch(live):
        sessions.append(Session(live_feed(live)))
        sessions[-1].start()
        return sessions[-1]

    yield watch
    for session in sessions:
        session.close()


def test_the_screen_is_given_every_scalar_of_a_run_as_it_was_trained(toy_run, watched):
    process = toy_run.train(1500, "wait", 0.001)
    session = watched(toy_run.wait_live())

    until(lambda: session.latest().step == 1500)
    snapshot = session.latest()

    for key in toy_trainer.KEYS:
        steps, values = snapshot.series[key].tail(9999)
        np.testing.assert_array_equal(steps, np.arange(1, 1501))
        np.testing.assert_array_equal(values, [toy_trainer.value(key, step) for step in range(1, 1501)])
    assert (snapshot.state, snapshot.link) == (RunState.TRAINING, Link.LIVE)
    assert process.poll() is None


def test_a_killed_training_is_over_on_the_screen_and_its_alert_is_there(toy_run, watched):
    process = toy_run.train(120, "wait", 0.002)
    session = watched(toy_run.wait_live())
    until(lambda: session.latest().alerts)

    process.kill()
    process.wait()
    until(lambda: session.latest().state.is_over)

    assert session.latest().goodbye.reason in ("signal", "vanished")  # the signal is known where the kernel tells it
    assert [alert.rule for alert in session.latest().alerts] == ["non-finite"]
    assert session.latest().link is Link.LIVE


def test_a_machine_that_loses_training_and_recorder_at_once_leaves_a_run_that_is_over(toy_run, watched):
    process = toy_run.train(100_000, "wait", 0.002)
    live = toy_run.wait_live()
    session = watched(live)
    until(lambda: session.latest().step > 200)

    toy_run.lose_machine(process)
    until(lambda: session.latest().link is Link.FILE)
    snapshot = session.latest()

    assert snapshot.state is RunState.VANISHED
    steps, _ = points(read_run(toy_run.file()), "train/loss")
    np.testing.assert_array_equal(snapshot.series["train/loss"].tail(99_999)[0], steps)


def test_a_recorder_that_is_killed_is_followed_into_its_next_life(toy_run, watched):
    toy_run.train(4000, "wait", 0.002)
    live = toy_run.wait_live()
    session = watched(live)
    until(lambda: session.latest().step > 100)

    os.kill(live.recorder_pid, signal.SIGKILL)
    until(lambda: session.latest().step == 4000, timeout_s=40.0)

    np.testing.assert_array_equal(session.latest().series["grad/norm"].tail(9999)[0], np.arange(1, 4001))
    until(lambda: (toy_run.live() or live).recorder_pid != live.recorder_pid)
