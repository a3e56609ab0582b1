"""The session: from a list of messages to a snapshot."""

from __future__ import annotations

import math
import time

import pytest

from monitor.feeds import LinkChanged
from monitor.model import Link, RunState
from monitor.session import Session
from probe import wire
from probe.batch import BatchBuilder


class Clock:
    """A clock that stands still until it is told the time."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


def hello(**fields):
    return wire.Hello(schema=1, run_id="11111111", name="run", started_s=100.0, total_steps=50, **fields)


def steps(seq, first, last, step_s=0.5):
    builder = BatchBuilder()
    for step in range(first, last + 1):
        builder.row(step, 100.0 + step, {"train/loss": 1.0 / step, "time/step_s": step_s})
    return builder.build(seq)


def beat(phase):
    return wire.Heartbeat(time_s=1.0, phase=phase, step=3, cost_us=80.0, cost_share=0.008, dropped=2)


def snapshot_of(*events, clock=None):
    session = Session(events, source="here", clock=clock or Clock())
    session.start()
    session._thread.join(10.0)
    return session, session.latest()


def test_a_snapshot_says_what_the_messages_said():
    _, snapshot = snapshot_of(LinkChanged(Link.LIVE, 1.0), hello(), steps(1, 1, 3), beat(wire.Phase.TRAINING))

    assert (snapshot.source, snapshot.state, snapshot.link, snapshot.loaded) == (
        "here",
        RunState.TRAINING,
        Link.LIVE,
        1,
    )
    assert (snapshot.step, snapshot.total_steps, snapshot.elapsed_s, snapshot.step_s) == (3, 50, 3.0, 0.5)
    assert (snapshot.cost_us, snapshot.cost_share, snapshot.dropped) == (80.0, 0.008, 2)
    assert snapshot.series["train/loss"].last == 1 / 3
    assert snapshot.heard_s == 1000.0


def test_nothing_heard_yet_is_waiting():
    _, snapshot = snapshot_of(LinkChanged(Link.CONNECTING))

    assert (snapshot.state, snapshot.hello, snapshot.step) == (RunState.WAITING, None, 0)


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (wire.Phase.STARTING, RunState.TRAINING),
        (wire.Phase.TRAINING, RunState.TRAINING),
        (wire.Phase.EVALUATING, RunState.EVALUATING),
        (wire.Phase.CHECKPOINTING, RunState.CHECKPOINTING),
        (wire.Phase.PAUSED, RunState.PAUSED),
    ],
)
def test_the_state_of_a_run_that_lives_is_its_phase(phase, state):
    assert snapshot_of(hello(), steps(1, 1, 3), beat(phase))[1].state is state


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("finished", RunState.FINISHED),
        ("detached", RunState.FINISHED),
        ("exception", RunState.FAILED),
        ("exit", RunState.FAILED),
        ("signal", RunState.FAILED),
        ("out-of-memory", RunState.FAILED),
        ("vanished", RunState.VANISHED),
    ],
)
def test_the_state_of_a_run_that_is_over_is_how_it_ended(reason, state):
    assert snapshot_of(hello(), steps(1, 1, 3), wire.Goodbye(time_s=110.0, reason=reason))[1].state is state


@pytest.mark.parametrize(("step_s", "patience_s"), [(0.5, 60.0), (10.0, 200.0)])
def test_a_run_stalls_after_twenty_of_its_own_steps_or_a_minute(step_s, patience_s):
    clock = Clock()
    session, _ = snapshot_of(hello(), steps(1, 1, 3, step_s), beat(wire.Phase.TRAINING), clock=clock)

    clock.now_s += patience_s - 1
    before = session.latest()
    clock.now_s += 2
    after = session.latest()

    assert (before.state, after.state) == (RunState.TRAINING, RunState.STALLED)
    assert after.version > before.version


def test_an_evaluation_however_long_is_no_stall():
    clock = Clock()
    session, _ = snapshot_of(hello(), steps(1, 1, 3), beat(wire.Phase.EVALUATING), clock=clock)
    clock.now_s += 10_000

    assert session.latest().state is RunState.EVALUATING


def test_the_same_snapshot_is_given_while_nothing_changes():
    session, first = snapshot_of(hello(), steps(1, 1, 3))

    assert session.latest() is first


def test_a_feed_that_breaks_says_so_and_keeps_what_came():
    def broken():
        yield hello()
        yield steps(1, 1, 3)
        raise OSError("the disk is gone")

    _, snapshot = snapshot_of_feed(broken())

    assert snapshot.step == 3
    assert snapshot.link is Link.LOST
    assert snapshot.notices == ("This run can be read no further: the disk is gone",)


def snapshot_of_feed(feed):
    session = Session(feed)
    session.start()
    session._thread.join(10.0)
    return session, session.latest()


def test_an_earlier_snapshot_does_not_change_when_more_comes():
    halfway, resume = [], []

    def feed():
        yield hello()
        yield steps(1, 1, 3)
        halfway.append(True)
        while not resume:
            time.sleep(0.01)
        yield steps(2, 4, 900)

    session = Session(feed())
    session.start()
    while not halfway:
        time.sleep(0.01)
    before = session.latest()
    resume.append(True)
    session._thread.join(10.0)

    assert (len(before.series["train/loss"]), before.step) == (3, 3)
    assert session.latest().step == 900


def test_a_nan_is_a_value_of_the_series():
    builder = BatchBuilder()
    builder.row(1, 1.0, {"train/loss": math.nan})
    _, snapshot = snapshot_of(hello(), builder.build(1))

    assert math.isnan(snapshot.series["train/loss"].last)
