"""Answers to monitors: none is lost while they are read, and who does not read does not fill the recorder."""

import time

import pytest

from monitor.record import replies
from monitor.record.replies import Replies
from probe import wire


def ack(number: int) -> bytes:
    return wire.encode(wire.Ack(id=str(number), ok=True))


@pytest.fixture
def said():
    return []


def read(socket, answers, count) -> list[bytes]:
    frames, deadline = [], time.monotonic() + 20
    while len(frames) < count and time.monotonic() < deadline:
        answers.turn()
        if socket.poll(1):
            frames.append(socket.recv())
    return frames


def test_answers_that_come_faster_than_they_are_read_arrive_all_and_in_order(sockets, said):
    router, client = sockets
    socket, name = client()
    answers = Replies(router, said.append)
    frames = [ack(number) for number in range(300)]
    for frame in frames:
        answers.put(name, frame)
    assert not answers.is_idle

    assert read(socket, answers, 300) == frames
    assert answers.is_idle
    assert said == []


def test_what_waits_for_one_client_holds_up_no_other(sockets, said):
    router, client = sockets
    (_, deaf), (socket, name) = client(), client()
    answers = Replies(router, said.append)
    for number in range(300):
        answers.put(deaf, ack(number))

    answers.put(name, ack(1))

    assert read(socket, answers, 1) == [ack(1)]
    assert not answers.is_idle


def test_a_part_of_a_history_waits_behind_the_answers(sockets, said):
    router, client = sockets
    socket, name = client()
    answers = Replies(router, said.append)
    for number in range(300):
        answers.put(name, ack(number))

    assert answers.offer(name, b"part") is False
    read(socket, answers, 300)
    assert answers.offer(name, b"part") is True
    assert socket.recv() == b"part"


def test_a_client_that_reads_nothing_is_told_so_in_place_of_its_answers(sockets, said, monkeypatch):
    monkeypatch.setattr(replies, "MAX_WAITING", 50)
    router, client = sockets
    socket, name = client()
    answers = Replies(router, said.append)
    for number in range(56):
        answers.put(name, ack(number))
    assert [len(queue) for queue in answers._waiting.values()] == [1]

    words = [wire.decode(frame) for frame in read(socket, answers, 6)][-1]
    assert isinstance(words, wire.Notice)
    assert words.text.startswith("This monitor has not read what it asked for")
    assert said == ["A monitor asks for more than it reads; what waited for it was thrown away."]


def test_the_answers_to_a_client_that_has_gone_are_given_up(sockets, said):
    router, client = sockets
    socket, name = client()
    answers = Replies(router, said.append)
    for number in range(300):
        answers.put(name, ack(number))
    socket.close(linger=0)

    deadline = time.monotonic() + 10
    while not answers.is_idle and time.monotonic() < deadline:
        router.poll(0)  # as the recorder's own loop does: there ZeroMQ learns who has gone
        answers.turn()
    answers.put(name, ack(1))

    assert answers.is_idle
    assert answers.offer(name, ack(1)) is None
