"""The live feed against a real recorder's sockets, spoken by a few lines of ZeroMQ."""

from __future__ import annotations

import threading
import time

import pytest
import zmq

from monitor.feeds import Ahead, LinkChanged
from monitor.feeds.live import SILENCE_S, LiveFeed
from monitor.feeds.recorded import RecordedFeed
from monitor.feeds.replay import Replay
from monitor.model import Link
from probe import packing, wire
from probe.batch import BatchBuilder

PATIENCE_S = 20.0


def hello(run_id="11111111"):
    return wire.Hello(schema=1, run_id=run_id, name="served", started_s=1.0)


def batch(seq):
    """Batch number n holds step n, whose loss is n."""
    builder = BatchBuilder()
    builder.row(seq, float(seq), {"train/loss": float(seq)})
    return builder.build(seq)


class Server:
    """What a recorder serves: batches 1 to ``recorded`` as history, and whatever is published."""

    def __init__(self, folder):
        self.live_address, self.ask_address = f"ipc://{folder}/s.live", f"ipc://{folder}/s.ask"
        self.recorded = 0
        self.beyond: list[wire.Message] = []
        self.asked_after: list[int] = []
        self.is_silent = False
        #: Cleared, an answer stands still before its last part.
        self.may_end = threading.Event()
        self.may_end.set()
        self.open()

    def open(self):
        self.context = zmq.Context()
        self.live = self.context.socket(zmq.XPUB)
        self.live.bind(self.live_address)
        self.ask = self.context.socket(zmq.ROUTER)
        self.ask.bind(self.ask_address)
        self.running = True
        self.thread = threading.Thread(target=self._answer, daemon=True)
        self.thread.start()

    def close(self):
        self.running = False
        self.may_end.set()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()
        self.context.destroy(linger=0)

    def publish(self, message):
        self.live.send(wire.encode(message))

    def wait_for_subscriber(self):
        assert self.live.poll(int(PATIENCE_S * 1000)), "nobody subscribed"
        self.live.recv()

    def _answer(self):
        while self.running:
            if not self.ask.poll(20):
                continue
            client, frame = self.ask.recv_multipart()
            request = wire.decode(frame)
            self.asked_after.append(request.after_seq)
            if self.is_silent:
                continue
            messages = [hello(), *(batch(seq) for seq in range(request.after_seq + 1, self.recorded + 1))]
            messages += self.beyond
            frames = [wire.encode(message) for message in messages]
            half = len(frames) // 2
            for part, share, done in ((frames[:half], 0.5, False), (frames[half:], 1.0, True)):
                if done:
                    self.may_end.wait()
                if self.running:
                    history = wire.History(id=request.id, frames=part, share=share, done=done)
                    self.ask.send_multipart([client, wire.encode(history)])


@pytest.fixture
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("s"))
    yield server
    server.close()


class Reader:
    """Collects what a feed yields, in a thread of its own."""

    def __init__(self, server, around=lambda feed: feed):
        self.live = LiveFeed(server.live_address, server.ask_address)
        self.feed = around(self.live)
        self.events: list[object] = []
        self.thread = threading.Thread(target=lambda: self.events.extend(self._each()), daemon=True)
        self.thread.start()

    def _each(self):
        for event in self.feed:
            self.events.append(event)
        return ()

    def steps(self):
        return [event.seq for event in self.events if isinstance(event, wire.Batch)]

    def links(self):
        changes = [event.link for event in self.events if isinstance(event, LinkChanged)]
        return [link for i, link in enumerate(changes) if i == 0 or link is not changes[i - 1]]

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition(self) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert condition(self), self.events[-10:]

    def close(self):
        self.feed.close()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


@pytest.fixture
def reader(server):
    server.recorded = 5
    reader = Reader(server)
    server.wait_for_subscriber()
    reader.until(lambda reader: Link.LIVE in reader.links())
    yield reader
    reader.close()


def test_a_late_joiner_gets_the_history_and_then_the_stream(server, reader):
    for seq in (6, 7):
        server.publish(batch(seq))

    reader.until(lambda reader: 7 in reader.steps())

    assert reader.steps() == [1, 2, 3, 4, 5, 6, 7]
    assert reader.links() == [Link.CONNECTING, Link.LOADING, Link.LIVE]


def test_what_comes_twice_is_passed_on_once(server, reader):
    for seq in (4, 5, 6, 6):
        server.publish(batch(seq))
    server.publish(wire.Notice(text="end"))

    reader.until(lambda reader: any(isinstance(event, wire.Notice) for event in reader.events))

    assert reader.steps() == [1, 2, 3, 4, 5, 6]


def test_a_hole_in_the_numbers_is_asked_for_again(server, reader):
    server.recorded = 9
    server.publish(batch(9))

    reader.until(lambda reader: 9 in reader.steps())

    assert reader.steps() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert set(server.asked_after) == {0, 5}


def test_a_hole_is_asked_for_although_the_stream_never_rests(server, reader):
    """Silence would have the feed ask again anyway; here there is none, and not one step may be missing."""
    for server.recorded in (6, 7):
        server.publish(batch(server.recorded))
        reader.until(lambda reader: server.recorded in reader.steps() and len(server.asked_after) == 2)
    seq = 8
    while 8 not in reader.steps() and seq < 2000:
        seq += 1
        server.recorded = seq
        server.publish(batch(seq))
        time.sleep(0.005)
    reader.until(lambda reader: seq in reader.steps())

    assert reader.steps() == list(range(1, seq + 1))
    assert Link.LOST not in reader.links()


def test_what_was_said_before_the_subscription_took_effect_is_asked_for(server, reader):
    """An alert bears no number: that it was missed shows nowhere but in the next answer."""
    missed = wire.Alert(id=1, rule="spike", severity=wire.Severity.WARNING, raised_step=5)
    server.beyond = [missed]

    def beaten(reader):
        server.publish(wire.Heartbeat(time_s=1.0))
        return missed in reader.events

    reader.until(beaten)

    assert server.asked_after == [0, 5]
    assert Link.LOST not in reader.links()


def test_a_run_that_is_over_may_be_silent(server):
    server.recorded, server.beyond = 5, [wire.Goodbye(time_s=9.0, reason="finished")]
    reader = Reader(server)
    reader.until(lambda reader: Link.LIVE in reader.links())

    time.sleep(SILENCE_S + 0.5)
    reader.close()

    assert reader.links() == [Link.CONNECTING, Link.LOADING, Link.LIVE]


FINISHED = wire.Goodbye(time_s=9.0, reason="finished")


def halfway(server, reader):
    """Until a goodbye has come and something after it, and the first part of the history, but not the last."""
    reader.until(lambda reader: Link.LOADING in reader.links())
    server.publish(FINISHED)
    server.publish(wire.Notice(text="later"))
    reader.until(lambda reader: wire.Notice(text="later") in reader.events)


def test_a_goodbye_that_overtakes_the_history_is_told_after_it(server):
    alarm = wire.Alert(id=1, rule="spike", severity=wire.Severity.WARNING, raised_step=5)
    server.recorded, server.beyond = 4, [alarm]
    server.may_end.clear()
    reader = Reader(server)
    server.wait_for_subscriber()
    halfway(server, reader)
    server.may_end.set()

    reader.until(lambda reader: FINISHED in reader.events)
    reader.close()

    assert reader.steps() == [1, 2, 3, 4]
    assert reader.events.index(batch(4)) < reader.events.index(alarm) < reader.events.index(FINISHED)


def test_a_line_that_breaks_between_a_goodbye_and_the_history_before_it_is_mended(server):
    server.recorded = 4
    server.may_end.clear()
    reader = Reader(
        server,
        lambda feed: RecordedFeed(
            feed, lambda after_seq: Replay(lambda: [*map(batch, range(after_seq + 1, 5)), FINISHED])
        ),
    )
    server.wait_for_subscriber()
    halfway(server, reader)
    server.close()

    reader.until(lambda reader: Link.FILE in reader.links())
    server.open()

    assert reader.steps() == [1, 2, 3, 4]
    assert reader.links() == [Link.CONNECTING, Link.LOADING, Link.LOST, Link.LOADING, Link.FILE]


def test_a_run_that_is_over_and_owes_a_batch_may_not_be_silent(server):
    server.recorded, server.beyond = 5, [FINISHED]
    reader = Reader(server)
    server.wait_for_subscriber()
    reader.until(lambda reader: Link.LIVE in reader.links())
    server.is_silent = True
    server.publish(batch(9))

    reader.until(lambda reader: Link.LOST in reader.links())
    server.is_silent, server.recorded = False, 9
    reader.until(lambda reader: 9 in reader.steps())
    reader.close()

    assert reader.steps() == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_a_batch_that_contradicts_itself_is_counted_and_passed_over(server, reader):
    torn = wire.Batch(seq=6, start=6, rows=3, times_s=b"1234")
    server.publish(torn)
    server.recorded = 7
    server.publish(batch(7))

    reader.until(lambda reader: 7 in reader.steps())

    assert reader.live.bad_frames == 1
    assert torn not in reader.events


def test_a_run_whose_processes_are_both_gone_is_read_on_from_its_file(server):
    server.recorded = 3
    asked: list[int] = []

    def rest(after_seq):
        asked.append(after_seq)
        goodbye = wire.Goodbye(time_s=9.0, reason="vanished")
        return Replay(lambda: [hello(), batch(4), goodbye]) if len(asked) == 2 else None

    reader = Reader(server, lambda feed: RecordedFeed(feed, rest))
    reader.until(lambda reader: Link.LIVE in reader.links())
    server.close()
    reader.until(lambda reader: Link.FILE in reader.links())
    server.open()

    reader.thread.join(PATIENCE_S)
    assert reader.steps() == [1, 2, 3, 4]
    assert asked == [3, 3]
    assert not reader.thread.is_alive()


def test_what_is_published_while_the_history_is_on_its_way_is_not_lost(server):
    server.is_silent = True
    reader = Reader(server)
    server.wait_for_subscriber()
    reader.until(lambda _: server.asked_after == [0])
    server.publish(batch(1))
    server.publish(batch(2))
    server.is_silent, server.recorded = False, 1

    reader.until(lambda reader: 2 in reader.steps())
    reader.close()

    assert reader.steps() == [1, 2]
    assert server.asked_after[:2] == [0, 0], "a question without an answer is asked again"


def test_a_recorder_that_goes_and_comes_back_is_followed(server, reader):
    server.close()
    reader.until(lambda reader: Link.LOST in reader.links())
    server.recorded = 8
    server.open()

    reader.until(lambda reader: reader.links()[-1] is Link.LIVE)

    assert reader.steps() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_frames_that_are_no_messages_are_counted_and_passed_over(server, reader):
    server.live.send(b"\xff\x00 no message")
    server.publish(batch(6))

    reader.until(lambda reader: 6 in reader.steps())

    assert reader.live.bad_frames == 1


def test_while_the_history_is_coming_the_stream_is_passed_on_ahead_and_comes_again_in_its_place(server):
    server.is_silent = True
    reader = Reader(server)
    server.wait_for_subscriber()
    reader.until(lambda _: server.asked_after == [0])
    server.publish(batch(3))

    reader.until(lambda reader: Ahead(batch(3)) in reader.events)
    assert reader.steps() == []
    server.is_silent, server.recorded = False, 2
    reader.until(lambda reader: 3 in reader.steps())
    reader.close()

    assert reader.steps() == [1, 2, 3]


def test_what_came_before_the_overview_is_told_once_more_after_it(server):
    """Two sockets keep no order between them."""
    overview = wire.Overview(
        seq=2, series={"train/loss": wire.Selection(packing.pack_steps([1]), packing.pack_floats([1.0]))}
    )
    server.is_silent, server.beyond = True, [overview]
    reader = Reader(server)
    server.wait_for_subscriber()
    server.publish(batch(3))
    reader.until(lambda reader: Ahead(batch(3)) in reader.events)
    server.is_silent, server.recorded = False, 2
    reader.until(lambda reader: 3 in reader.steps())
    reader.close()

    assert reader.events[reader.events.index(overview) + 1] == Ahead(batch(3))
