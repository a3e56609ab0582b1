"""A run that is read from its file while another machine writes it."""

import pytest

from monitor.feeds import LinkChanged, followed
from monitor.feeds.followed import FollowedFile
from monitor.model import Link
from probe.wire import Batch, Goodbye, Hello, Notice

HELLO = Hello(schema=1, run_id="aaaaaaaa", name="toy", started_s=1.0)
HINT = Notice(text="try ssh://node7/aaaaaaaa")
GOODBYE = Goodbye(time_s=1.0, reason="finished", step=3)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(followed, "LOOK_S", 0.0)


def batch(seq):
    return Batch(seq=seq, start=seq, rows=0, times_s=b"")


class File:
    """Gives one of ``looks`` after the other, and remembers after which batch it was read."""

    def __init__(self, *looks):
        self.looks, self.asked = list(looks), []

    def __call__(self, after_seq):
        self.asked.append(after_seq)
        look = self.looks.pop(0)
        for message in look:
            if isinstance(message, Exception):
                raise message
            yield message


def test_each_look_asks_for_what_follows_the_last_batch_until_the_run_is_over():
    file = File([HELLO, batch(1), batch(2)], [HELLO], [HELLO, batch(3), GOODBYE])

    events = list(FollowedFile(file, HINT))

    assert file.asked == [0, 2, 2]
    assert events == [
        LinkChanged(Link.LOADING),
        HELLO,
        HINT,
        batch(1),
        batch(2),
        LinkChanged(Link.LIVE, 1.0),
        HELLO,
        LinkChanged(Link.LIVE, 1.0),
        HELLO,
        batch(3),
        GOODBYE,
        LinkChanged(Link.FILE, 1.0),
    ]


def test_a_look_that_fails_is_said_and_the_next_one_goes_on_where_it_broke_off():
    file = File([HELLO, batch(1)], [HELLO, batch(2), OSError("away.")], [HELLO, batch(3), GOODBYE])

    events = list(FollowedFile(file, HINT))

    assert file.asked == [0, 1, 2]
    assert [event for event in events if isinstance(event, Batch)] == [batch(1), batch(2), batch(3)]
    assert events[7:9] == [LinkChanged(Link.LOST), Notice(text="away. It is tried again.")]


def test_a_file_that_never_could_be_read_is_refused():
    with pytest.raises(OSError, match="no such file"):
        list(FollowedFile(File([OSError("no such file")]), HINT))


def test_it_stops_when_it_is_closed():
    feed = FollowedFile(File([HELLO]), HINT)

    for event in feed:
        if event == LinkChanged(Link.LIVE, 1.0):
            feed.close()

    assert event == LinkChanged(Link.LIVE, 1.0)
