"""The session: from a list of messages to a snapshot."""

from __future__ import annotations

import math
import time

import pytest

from monitor.feeds import LinkChanged
from monitor.model import Link, RunRow, RunState
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


def beat(phase, time_s=103.0):
    return wire.Heartbeat(time_s=time_s, phase=phase, step=3, cost_us=80.0, cost_share=0.008, dropped=2)


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


LIVE = LinkChanged(Link.LIVE, 1.0)


@pytest.mark.parametrize(("step_s", "patience_s"), [(0.5, 60.0), (10.0, 200.0)])
def test_a_run_stalls_after_twenty_of_its_own_steps_or_a_minute(step_s, patience_s):
    last_step_s = 103.0
    started = (LIVE, hello(), steps(1, 1, 3, step_s))

    _, before = snapshot_of(*started, beat(wire.Phase.TRAINING, last_step_s + patience_s))
    _, after = snapshot_of(*started, beat(wire.Phase.TRAINING, last_step_s + patience_s + 1))

    assert (before.state, after.state) == (RunState.TRAINING, RunState.STALLED)


def test_who_joins_a_run_that_has_stalled_sees_so_at_once():
    late = beat(wire.Phase.TRAINING, 5000.0)

    assert snapshot_of(hello(), steps(1, 1, 3), LIVE, late)[1].state is RunState.STALLED


def test_the_time_that_a_machine_slept_is_no_stall():
    training = [beat(wire.Phase.TRAINING, 103.0 + second) for second in range(5)]
    awake = [beat(wire.Phase.TRAINING, 5000.0 + second) for second in range(58)]
    started = (LIVE, hello(), steps(1, 1, 3), *training)

    assert snapshot_of(*started, awake[0])[1].state is RunState.TRAINING
    assert snapshot_of(*started, *awake[:57])[1].state is RunState.TRAINING  # 4 s before it slept and 56 s after it
    assert snapshot_of(*started, *awake)[1].state is RunState.STALLED


def test_a_step_that_was_made_since_the_machine_woke_is_the_newest_progress():
    woken = (beat(wire.Phase.TRAINING, 103.0), steps(2, 1000, 1000), beat(wire.Phase.TRAINING, 1101.0))
    signs = [beat(wire.Phase.TRAINING, 1101.0 + second) for second in range(62)]

    assert snapshot_of(LIVE, hello(), steps(1, 1, 3), *woken, *signs[:61])[1].state is RunState.TRAINING
    assert snapshot_of(LIVE, hello(), steps(1, 1, 3), *woken, *signs)[1].state is RunState.STALLED


def test_an_evaluation_however_long_is_no_stall():
    long_evaluation = beat(wire.Phase.EVALUATING, 10_000.0)
    right_after_it = beat(wire.Phase.TRAINING, 10_001.0)

    assert snapshot_of(LIVE, hello(), steps(1, 1, 3), long_evaluation)[1].state is RunState.EVALUATING
    assert snapshot_of(LIVE, hello(), steps(1, 1, 3), long_evaluation, right_after_it)[1].state is RunState.TRAINING


@pytest.mark.parametrize("link", [Link.LOST, Link.LOADING, Link.FILE])
def test_of_a_run_that_is_not_heard_nobody_says_that_it_stalls(link):
    late = beat(wire.Phase.TRAINING, 5000.0)

    assert snapshot_of(hello(), steps(1, 1, 3), late, LinkChanged(link))[1].state is RunState.TRAINING


def test_a_sign_of_life_without_news_changes_the_age_and_not_the_version():
    clock, beats = Clock(), []

    def feed():
        yield from (hello(), steps(1, 1, 3), beat(wire.Phase.TRAINING))
        beats.append(session.latest())
        clock.now_s += 1.0
        yield from (hello(), steps(1, 1, 3), beat(wire.Phase.TRAINING, 104.0))

    session = Session(feed(), clock=clock)
    session.start()
    session._thread.join(10.0)

    assert session.latest().version == beats[0].version
    assert (beats[0].heard_s, session.latest().heard_s) == (1000.0, 1001.0)


def test_the_run_on_the_screen_is_marked_in_the_list_of_runs():
    rows = tuple(RunRow(name, name, RunState.TRAINING, 1, None, 1.0) for name in ("11111111", "22222222"))
    session = Session([hello()], runs=lambda: rows)
    session.start()
    deadline = time.monotonic() + 10.0
    while not session.latest().runs and time.monotonic() < deadline:
        time.sleep(0.01)
    session.close()

    assert [row.current for row in session.latest().runs] == [True, False]


def test_a_list_of_runs_that_cannot_be_read_costs_no_message():
    def unreadable():
        raise PermissionError("no")

    session = Session([hello(), steps(1, 1, 3)], runs=unreadable)
    session.start()
    deadline = time.monotonic() + 10.0
    while session.latest().step < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    session.close()

    assert (session.latest().step, session.error) == (3, None)


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
