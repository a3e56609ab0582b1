import sys
from pathlib import Path

import pytest
import zmq

sys.path.insert(0, str(Path(__file__).parent))

from toy_run import monitor_of, toy_run  # noqa: F401


@pytest.fixture
def sockets():
    """A recorder's socket that answers monitors, and a function that connects one and gives its address."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.SNDHWM, 4)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    router.bind("inproc://ask")

    def client() -> tuple[zmq.Socket, bytes]:
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.RCVHWM, 1)
        socket.connect("inproc://ask")
        socket.send(b"here")
        return socket, router.recv_multipart()[0]

    yield router, client
    context.destroy(linger=0)
