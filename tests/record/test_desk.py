"""Histories are sent in parts, a few at a time, and a monitor that does not read holds nobody up."""

import time

import numpy as np
import pytest

from monitor.record import desk
from monitor.record.desk import HistoryDesk
from monitor.record.keeper import Keeper
from monitor.record.overview import Overviews
from monitor.record.replies import Replies
from probe import wire

HELLO = wire.encode(wire.Hello(schema=1, run_id="0123abcd", name="toy", started_s=0.0))
PAGES = 400
NO_OVERVIEW = Overviews()


def page(seq: int) -> wire.Batch:
    noise = np.random.default_rng(seq).normal(size=(10, 256))
    scalars = {f"user/{i}": wire.Column(values=column.tobytes()) for i, column in enumerate(noise)}
    return wire.Batch(seq=seq, start=256 * (seq - 1) + 1, rows=256, times_s=bytes(8 * 256), scalars=scalars)


@pytest.fixture(scope="module")
def keeper():
    """100,000 steps of ten series: 9 MiB."""
    said: list[str] = []
    keeper = Keeper(None, said.append)
    for seq in range(1, PAGES + 1):
        keeper.batch(page(seq), wire.encode(page(seq)))
    keeper.commit()
    keeper.notice(wire.encode(wire.Notice(text="at the end")))
    return keeper


def read(socket) -> list[wire.History]:
    parts = []
    while socket.poll(0):
        parts.append(wire.decode(socket.recv()))
    return parts


def test_an_answer_is_complete_in_order_and_in_parts(keeper, sockets):
    router, client = sockets
    socket, name = client()
    answers = HistoryDesk(Replies(router, str))
    answers.ask(name, wire.HistoryRequest(id="q"))

    parts = []
    while not answers.is_idle:
        answers.turn(keeper, HELLO, NO_OVERVIEW)
        parts += read(socket)
    messages = [wire.decode(frame) for part in parts for frame in part.frames]

    assert isinstance(messages[0], wire.Hello)
    assert [m.seq for m in messages if isinstance(m, wire.Batch)] == list(range(1, PAGES + 1))
    assert messages[-1] == wire.Notice(text="at the end")
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert [part.share for part in parts] == sorted(part.share for part in parts)
    assert max(sum(map(len, part.frames)) for part in parts) < desk.PART_BYTES * 1.1


def test_a_client_that_does_not_read_holds_up_nobody(keeper, sockets):
    router, client = sockets
    (_, deaf), (socket, name) = client(), client()
    answers = HistoryDesk(Replies(router, str))
    answers.ask(deaf, wire.HistoryRequest(id="deaf"))
    answers.ask(name, wire.HistoryRequest(id="q"))

    parts: list[wire.History] = []
    while not (parts and parts[-1].done):
        answers.turn(keeper, HELLO, NO_OVERVIEW)
        parts += read(socket)
    answers.turn(keeper, HELLO, NO_OVERVIEW)

    assert sum(len(part.frames) for part in parts) == 1 + PAGES + 1
    assert answers.is_blocked


def test_the_answer_to_a_client_that_has_gone_is_given_up(keeper, sockets):
    router, client = sockets
    socket, name = client()
    answers = HistoryDesk(Replies(router, str))
    answers.ask(name, wire.HistoryRequest(id="q"))
    socket.close(linger=0)

    deadline = time.monotonic() + 10
    while not answers.is_idle and time.monotonic() < deadline:
        router.poll(0)  # as the recorder's own loop does: there ZeroMQ learns who has gone
        answers.turn(keeper, HELLO, NO_OVERVIEW)

    assert answers.is_idle


def test_a_new_question_takes_the_place_of_the_old_one(keeper, sockets):
    router, client = sockets
    socket, name = client()
    answers = HistoryDesk(Replies(router, str))
    answers.ask(name, wire.HistoryRequest(id="old"))
    answers.ask(name, wire.HistoryRequest(id="new", after_seq=PAGES))
    answers.turn(keeper, HELLO, NO_OVERVIEW)

    (part,) = read(socket)
    assert (part.id, part.done, len(part.frames)) == ("new", True, 2)
