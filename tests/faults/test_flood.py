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


class Greedy:
    """A program that asks the stream for 30,000 things that are never said, and again each time it comes back."""

    def __init__(self, address: str, length: int) -> None:
        self._socket = zmq.Context().socket(zmq.SUB)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.connect(address)
        for number in range(30_000):
            self._socket.subscribe(f"{number:06} {'what nobody ever says ' * 5}"[:length])

    def ask(self, during) -> list[int]:
        """What ``during`` gives in the 2 s that it asks."""
        return [during() for _ in range(20) if self._socket.poll(100) == 0]

    def leave(self) -> None:
        self._socket.context.destroy(linger=0)


def test_subscriptions_without_end_are_forgotten_and_a_monitor_goes_on(recorder, grown):  # noqa: F811
    monitor = Monitor(recorder.live)
    greedy = Greedy(recorder.live.live, 28)

    assert max(greedy.ask(grown)) < 2 * GROWTH_BYTES
    until(lambda: grown() < GROWTH_BYTES)  # it is connected, but asks no more
    greedy.leave()
    until(lambda: recorder.take_a_step() and monitor._live.poll(200), timeout_s=60)
    monitor.close()


def test_subscriptions_to_more_than_any_monitor_asks_for_are_not_taken_in(recorder, grown):  # noqa: F811
    greedy = Greedy(recorder.live.live, 110)

    assert max(greedy.ask(grown)) < GROWTH_BYTES
    greedy.leave()


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
