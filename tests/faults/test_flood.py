"""A program of the same user that asks without end: the recorder does not grow, and everybody else is served."""

import time

import pytest
import zmq
from test_fuzz import recorder  # noqa: F401  a fixture
from toy_run import Monitor, until

from probe import runtime, wire

DEAF = "A monitor asks for more than it reads; what waited for it was thrown away."
GROWTH_BYTES = 24 * 1024 * 1024


@pytest.fixture
def grown(recorder):  # noqa: F811
    """By how much the recorder has grown since the test began, in bytes, once it is done with what has come."""
    before = recorder._process.memory_info().rss

    def grown() -> int:
        recorder.take_a_step()
        return recorder._process.memory_info().rss - before

    return grown


@pytest.mark.parametrize("length", [30, 120], ids=["short", "longer than any of a monitor"])
def test_subscriptions_without_end_are_forgotten_and_a_monitor_goes_on(recorder, grown, length):  # noqa: F811
    monitor = Monitor(recorder.live)
    greedy = zmq.Context().socket(zmq.SUB)
    greedy.setsockopt(zmq.SNDHWM, 0)
    greedy.connect(recorder.live.live)
    for number in range(30_000):
        greedy.subscribe(f"{number:06} {'what nobody ever says ' * 5}"[:length])
    for _ in range(20):  # ZeroMQ tells all of them again when it has come back
        greedy.poll(100)

    until(lambda: grown() < GROWTH_BYTES)  # also while it is still there
    greedy.context.destroy(linger=0)
    until(lambda: recorder.take_a_step() and monitor._live.poll(200), timeout_s=60)
    monitor.close()


def test_questions_without_end_that_nobody_reads_the_answers_to_cost_nothing(recorder, grown):  # noqa: F811
    context = zmq.Context()
    sockets = [context.socket(zmq.DEALER) for _ in range(50)]
    for socket in sockets:
        socket.setsockopt(zmq.RCVHWM, 1)
        socket.connect(f"ipc://{runtime.socket_folder() / recorder.run_id}.ask")
    for number in range(400):
        for socket in sockets:
            socket.send(wire.encode(wire.HistoryRequest(id=str(number))))

    assert grown() < GROWTH_BYTES
    context.destroy(linger=0)
    assert grown() < GROWTH_BYTES


def test_commands_without_end_whose_answers_are_not_read_cost_little_and_are_told_once(recorder, grown):  # noqa: F811
    context = zmq.Context()
    greedy = context.socket(zmq.DEALER)
    greedy.setsockopt(zmq.RCVHWM, 1)
    greedy.setsockopt(zmq.SNDHWM, 0)
    greedy.connect(f"ipc://{runtime.socket_folder() / recorder.run_id}.ask")
    for number in range(30_000):
        order = wire.Command(id=f"{number:064}", run_id=recorder.run_id, name="unknown", time_s=time.time())
        greedy.send(wire.encode(order))

    def said() -> list[str]:
        return [m.text for m in recorder._monitor.history()[1] if isinstance(m, wire.Notice)]

    until(lambda: DEAF in said(), timeout_s=60)
    assert grown() < GROWTH_BYTES
    assert said().count(DEAF) == 1
    context.destroy(linger=0)
