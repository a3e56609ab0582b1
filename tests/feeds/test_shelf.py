"""Other runs beside the one on the screen: each is read once, and what cannot be read is not there."""

import time

from monitor.commands.shelf import Shelf
from monitor.feeds import LinkChanged
from monitor.model import Link
from probe import wire

HELLO = wire.Hello(schema=1, run_id="aaaa1111", name="old", started_s=1.0)


def read(shelf, run_id, condition):
    """What the shelf gives once the condition holds for it."""
    deadline = time.monotonic() + 10
    while not condition(found := shelf.open(run_id)):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


def test_a_run_is_read_once_however_often_it_is_asked_for():
    asked = []
    shelf = Shelf(lambda run_id: asked.append(run_id) or [HELLO, LinkChanged(Link.FILE, 1.0)])

    snapshot = read(shelf, "aaaa1111", lambda found: found.link is Link.FILE)
    shelf.open("aaaa1111")
    shelf.close()

    assert (snapshot.hello, asked) == (HELLO, ["aaaa1111"])


def test_a_run_that_is_gone_is_none():
    assert Shelf(lambda _run_id: None).open("aaaa1111") is None


def test_a_run_that_cannot_be_read_becomes_none():
    def damaged():
        raise OSError("a page is torn")
        yield

    shelf = Shelf(lambda _run_id: damaged())

    assert read(shelf, "aaaa1111", lambda found: found is None) is None
    shelf.close()
