"""The recorder's sockets: who listens can be put out, wherever it came in, and nothing stays behind."""

import os
import shutil

import pytest
import zmq
from toy_run import until

from monitor.record.sockets import Sockets
from probe import runtime

CAME, WENT = b"\x01", b"\x00"


@pytest.fixture
def folders(tmp_path_factory, monkeypatch):
    """Two for the sockets, with names that are short enough; the second is where they are to be."""
    first, second = tmp_path_factory.mktemp("s"), tmp_path_factory.mktemp("s")
    monkeypatch.setattr(runtime, "socket_folder", lambda: second)
    return first, second


@pytest.fixture
def context():
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def sockets(context, folders):
    sockets = Sockets(context, "0a0a0a0a", folders[0])
    sockets.bind()
    return sockets


def listen(context, sockets):
    """One that listens to all; its coming has been heard."""
    listener = context.socket(zmq.SUB)
    listener.connect(sockets.address("live"))
    listener.subscribe(b"")
    assert heard(sockets) == CAME
    return listener


def heard(sockets):
    """What is said by listeners next."""
    assert sockets.live.poll(10_000)
    return sockets.live.recv()


def test_who_is_put_out_comes_back(context, sockets):
    listener = listen(context, sockets)
    sockets.cut_live()

    assert heard(sockets) == WENT
    until(lambda: not listener.poll(10) and sockets.live.poll(10))  # it subscribes again while it looks
    assert heard(sockets) == CAME
    sockets.live.send(b"on it goes")
    assert listener.poll(10_000) and listener.recv() == b"on it goes"


def test_who_came_in_at_a_name_that_is_gone_is_put_out_too(context, sockets, folders):
    listen(context, sockets)
    shutil.rmtree(folders[0])
    assert until(sockets.restored)
    sockets.cut_live()

    assert heard(sockets) == WENT
    assert sockets.address("live") == f"ipc://{folders[1] / '0a0a0a0a.live'}"
    listen(context, sockets)


def test_where_no_name_can_be_given_all_are_put_out_and_it_comes_later(context, sockets, folders):
    listen(context, sockets)
    shutil.rmtree(folders[0])
    sockets.cut_live()
    sockets.cut_live()

    assert heard(sockets) == WENT
    assert until(sockets.restored)
    listen(context, sockets)


def test_names_that_were_given_again_are_taken_away_at_the_end(sockets, folders):
    os.link(folders[0] / "0a0a0a0a.live", folders[1] / "kept")  # so that the new one has another inode
    sockets.cut_live()
    assert sorted(name.suffix for name in folders[0].iterdir()) == [".ask", ".in", ".live"]

    sockets.remove()
    assert list(folders[0].iterdir()) == []
