"""What a screen is given while the history is on its way: the overview, the live steps, and then the whole of it."""

from monitor.feeds import Ahead, LinkChanged
from monitor.model import Link
from monitor.session import Session
from probe import packing, wire
from probe.batch import BatchBuilder


def batch(seq: int) -> wire.Batch:
    """Batch number n holds the ten steps up to 10 n; the loss of a step is its number."""
    builder = BatchBuilder()
    for step in range(10 * seq - 9, 10 * seq + 1):
        builder.row(step, float(step), {"train/loss": float(step)})
    return builder.build(seq)


def overview(seq: int, *steps: int) -> wire.Overview:
    selection = wire.Selection(packing.pack_steps(list(steps)), packing.pack_floats([float(step) for step in steps]))
    return wire.Overview(seq=seq, series={"train/loss": selection})


def shown(*events) -> tuple[list[int], int, Link]:
    """The steps of the loss, the newest step and the link, once a session has had these events."""
    session = Session(events)
    session.start()
    session._thread.join(10.0)
    snapshot = session.latest()
    steps, values = snapshot.series["train/loss"].tail(9999)
    assert steps.tolist() == values.tolist()
    return steps.tolist(), snapshot.step, snapshot.link


def test_the_overview_and_the_stream_are_shown_until_the_whole_history_is_there():
    began = (LinkChanged(Link.LOADING), overview(3, 4, 17, 30))
    loading = (*began, Ahead(batch(4)), batch(1), batch(2), LinkChanged(Link.LOADING, 0.6), Ahead(batch(5)), batch(3))

    assert shown(*began) == ([4, 17, 30], 30, Link.LOADING)
    assert shown(*began, Ahead(batch(4))) == ([4, 17, 30, *range(31, 41)], 40, Link.LOADING)
    assert shown(*loading) == ([4, 17, 30, *range(31, 51)], 50, Link.LOADING)
    assert shown(*loading, LinkChanged(Link.LIVE, 1.0)) == (list(range(1, 31)), 30, Link.LIVE)
    assert shown(*loading, LinkChanged(Link.LIVE, 1.0), batch(4), batch(5)) == (list(range(1, 51)), 50, Link.LIVE)


def test_a_batch_that_the_overview_has_in_it_is_not_drawn_twice():
    events = (LinkChanged(Link.LOADING), overview(4, 4, 17, 40), Ahead(batch(4)), Ahead(batch(5)), Ahead(batch(5)))

    assert shown(*events) == ([4, 17, 40, *range(41, 51)], 50, Link.LOADING)


def test_without_an_overview_the_stream_waits_for_the_history():
    assert shown(LinkChanged(Link.LOADING), Ahead(batch(2)), batch(1)) == (list(range(1, 11)), 10, Link.LOADING)


def test_a_line_that_is_lost_while_it_loads_keeps_the_picture():
    events = (LinkChanged(Link.LOADING), overview(3, 4, 17, 30), batch(1), LinkChanged(Link.LOST))

    assert shown(*events) == ([4, 17, 30], 30, Link.LOST)
