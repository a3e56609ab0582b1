"""A late joiner of a long run sees the whole of it at once, and its newest steps, before its history has come."""

import threading
import time

import numpy as np
import toy_trainer
from histories import recorded, same
from toy_run import until
from viewer import shown

from monitor.feeds import Ahead, LinkChanged
from monitor.feeds.live import LiveFeed
from monitor.model import Link
from monitor.session import Session
from probe import wire

#: Scalars a step beside the toy trainer's own four, and the steps before anybody watches.
WIDE, STEPS = 60, 12_000


class SlowLine:
    """A live feed behind a line that takes a while for each batch, and a note of what came when."""

    def __init__(self, live) -> None:
        self._feed = LiveFeed(live.live, live.ask)
        self.kinds: list[str] = []
        self.loaded = threading.Event()

    def close(self) -> None:
        self._feed.close()

    def __iter__(self):
        for event in self._feed:
            if isinstance(event, LinkChanged):
                self.kinds.append(event.link.value)
                if event.link is Link.LIVE:
                    self.loaded.set()
            elif isinstance(event, (wire.Overview, Ahead, wire.Batch)):
                self.kinds.append(type(event).__name__)
            if isinstance(event, wire.Batch) and not self.loaded.is_set():
                time.sleep(0.02)
            yield event


def test_a_late_joiner_sees_the_whole_run_first_then_the_stream_and_in_the_end_every_scalar(toy_run):
    process = toy_run.train(1_000_000, "wait", 0.0004, WIDE=str(WIDE))
    live = toy_run.wait_live()
    until(lambda: toy_run.summary_step() > STEPS, timeout_s=120)
    line = SlowLine(live)
    session = Session(line)
    session.start()

    until(lambda: "Overview" in line.kinds)
    early = until(lambda: (snapshot := session.latest()).step > STEPS and snapshot)
    steps, values = early.series["grad/norm"].tail(10**9)
    until(lambda: session.latest().step > early.step or line.loaded.is_set())
    until(line.loaded.is_set, timeout_s=120)
    process.kill()
    process.wait()
    until(lambda: session.latest().state.is_over, timeout_s=60)
    complete = shown(session)
    session.close()

    loading = line.kinds[: line.kinds.index("live")]
    assert loading.index("Overview") < loading.index("Batch")
    assert "Ahead" in loading[loading.index("Batch") :]
    assert early.link is Link.LOADING
    assert len(steps) < STEPS / 2
    np.testing.assert_array_equal(values, [toy_trainer.value("grad/norm", step) for step in steps])
    same(complete, recorded(toy_run))
