"""A training that was resumed on another machine is one story here, too."""

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from earlier_runs import write
from sshd import SSH, SSHD, Sshd

from monitor.commands.watching import resolve
from monitor.feeds import Event, close
from monitor.record import reader
from monitor.session import Session
from probe import wire

pytestmark = pytest.mark.skipif(not (SSHD and SSH), reason="OpenSSH is not installed: apt-get install openssh-server")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The machine with the runs; what is written from here on is there."""
    server = Sshd(tmp_path, tmp_path / "there")
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "there"))
    reader.leave()
    server.start()
    monkeypatch.setenv("PATH", server.path)
    yield server
    server.cut()


def test_what_was_recorded_before_a_run_was_resumed_comes_first(server, tmp_path, monkeypatch):
    write("aaaaaaaa", 1, 90)
    write("bbbbbbbb", 81, 120, resumes="aaaaaaaa", first_step=80)
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "here"))
    session = Session(resolve("ssh://train-box/bbbbbbbb").feed)
    session.start()
    session._thread.join(30)

    steps, losses = session.latest().series["train/loss"].tail(1000)
    np.testing.assert_array_equal(steps, np.arange(1, 121))
    np.testing.assert_array_equal(losses, np.arange(1.0, 121.0))


def cut_after_the_first_batch(feed: Iterable[Event], server: Sshd) -> Iterator[Event]:
    is_cut = False
    for event in feed:
        yield event
        if isinstance(event, wire.Batch) and not is_cut:
            is_cut = True
            server.cut()
            server.start()


def test_a_line_that_is_cut_while_the_past_is_fetched_costs_none_of_it(server, tmp_path, monkeypatch):
    """The past is more than what is on its way at once: ssh's window, and the buffers before and behind it."""
    write("aaaaaaaa", 1, 1_000_000)
    write("bbbbbbbb", 900_001, 900_040, resumes="aaaaaaaa", first_step=900_000)
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "here"))
    session = Session(cut_after_the_first_batch(resolve("ssh://train-box/bbbbbbbb").feed, server))
    session.start()
    session._thread.join(60)

    snapshot = session.latest()
    steps, losses = snapshot.series["train/loss"].tail(2_000_000)
    np.testing.assert_array_equal(steps, np.arange(1, 900_041))
    np.testing.assert_array_equal(losses, np.arange(1.0, 900_041.0))
    assert [notice for notice in snapshot.notices if notice.endswith("; it is tried again.")]


def test_who_leaves_while_the_past_cannot_be_had_waits_for_it_no_longer(server):
    write("aaaaaaaa", 1, 1_000_000)
    write("bbbbbbbb", 900_001, 900_040, resumes="aaaaaaaa", first_step=900_000)
    feed = resolve("ssh://train-box/bbbbbbbb").feed
    events = iter(feed)
    lost = (event for event in events if isinstance(event, wire.Notice) and event.text.endswith("it is tried again."))
    next(event for event in events if isinstance(event, wire.Batch))
    server.cut()
    next(lost)

    close(feed)

    assert next(lost, None) is None
