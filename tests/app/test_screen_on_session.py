"""The screen on the real session and history, fed with messages instead of a socket."""

import asyncio
import threading
import time

import numpy as np
import screen_snapshots as snapshots
from screen_driver import shown

from monitor.app.app import MonitorApp
from monitor.feeds import LinkChanged
from monitor.model import Link
from monitor.session import Session
from probe import packing, wire


def batch(seq, losses):
    rows = len(losses)
    return wire.Batch(
        seq=seq,
        start=(seq - 1) * rows + 1,
        rows=rows,
        times_s=packing.pack_floats([snapshots.STARTED_S + seq * rows + i for i in range(rows)]),
        scalars={"train/loss": wire.Column(packing.pack_floats(list(losses)))},
    )


def loaded(messages):
    """The snapshot of a session that has read all of these messages."""
    session = Session([LinkChanged(Link.LOADING), *messages, LinkChanged(Link.FILE, 1.0)])
    session.start()
    deadline = time.monotonic() + 10
    while session.latest().link is not Link.FILE:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    session.close()
    return session.latest()


async def test_what_was_sent_is_what_is_shown():
    losses = np.linspace(2.5, 0.5, 500)
    messages = [snapshots.hello(total_steps=1000), batch(1, losses[:250]), batch(2, losses[250:])]
    async with shown(loaded(messages)) as bedside:
        assert "step 500 / 1.00k" in bedside.lines[1]
        assert "train 0.5360" in bedside.lines[2]
        assert "⠉" in bedside.text


async def test_the_real_series_folds_as_the_plain_one_of_the_other_tests():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(3000)
    values[[7, 900, 901, 2999]] = [np.nan, np.inf, -np.inf, np.nan]
    real = loaded([snapshots.hello(), *(batch(i + 1, values[i * 250 : (i + 1) * 250]) for i in range(12))])
    plain = snapshots.ArrayView("train/loss", range(1, 3001), values)
    for start, width, n in [(1, 1, 100), (-50, 7, 600), (890, 2, 30), (0, 100, 40)]:
        seen, expected = real.series["train/loss"].columns(start, width, n), plain.columns(start, width, n)
        for name in ("low", "high", "mean", "count", "bad"):
            np.testing.assert_allclose(
                getattr(seen, name), getattr(expected, name), err_msg=f"{name} {start} {width}"
            )


async def test_the_whole_history_is_drawn_when_it_has_come_and_not_a_frame_later():
    rest = threading.Event()

    def events():
        yield LinkChanged(Link.LOADING)
        yield snapshots.hello(total_steps=1000)
        yield batch(1, np.linspace(2.5, 1.5, 250))
        rest.wait(10)
        yield batch(2, np.linspace(1.5, 0.5, 250))
        yield LinkChanged(Link.FILE, 1.0)

    session = Session(events())
    app = MonitorApp(session.latest, fps=0.001)
    session.on_loaded = app.hurry
    session.start()
    async with app.run_test(size=(120, 40)):
        assert app.snapshot.step < 500
        rest.set()
        deadline = time.monotonic() + 10
        while app.snapshot.link is not Link.FILE:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
        assert app.snapshot.step == 500
    session.close()


def test_a_history_that_comes_before_the_screen_is_no_reason_to_fall():
    app = MonitorApp(Session([]).latest)
    app.hurry()
