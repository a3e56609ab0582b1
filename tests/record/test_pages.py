"""A page cut behind one of its batches is the page that the rest of them would have made."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import rows
from monitor.record import pages
from probe import wire
from probe.batch import BatchBuilder

VALUES = st.floats(width=64) | st.just(math.nan)


@st.composite
def consecutive_batches(draw) -> list[wire.Batch]:
    batches, step = [], 1
    for seq in range(1, draw(st.integers(2, 6)) + 1):
        builder = BatchBuilder()
        for _ in range(draw(st.integers(0, 4))):
            keys = draw(st.sets(st.sampled_from(["train/loss", "val/loss", "lr/0"])))
            builder.row(step, float(step), {key: draw(VALUES) for key in sorted(keys)})
            step += draw(st.integers(0, 2))
        if draw(st.booleans()):
            builder.layers(step, {"grad_norm": [1.0, None]})
            builder.classes(step, "val", [1], [2], [3])
        if draw(st.booleans()):
            builder.mark(wire.Mark(step=step, time_s=0.0, text=f"mark {seq}"))
            builder.fact(step, "epoch", seq)
        batches.append(builder.build(seq))
    return batches


@settings(max_examples=150, deadline=None)
@given(consecutive_batches(), st.data())
def test_the_rest_of_a_page_equals_a_page_of_the_rest(batches, data):
    seq = data.draw(st.integers(0, len(batches) - 1))

    rest = pages.after(rows.merge(batches), pages.extents_of(batches), seq)

    assert _plain(rest) == _plain(rows.merge(batches[seq:]))


@settings(max_examples=150, deadline=None)
@given(consecutive_batches(), st.integers(-1, 60))
def test_a_page_cut_at_a_step_holds_every_point_until_then_and_none_after(batches, step):
    page = rows.merge(batches)
    cut = rows.until(page, step)

    for key in page.scalars:
        steps, values = rows.points_of(page, key)
        kept = [part[steps <= step].tolist() for part in (steps, values)]
        assert repr([part.tolist() for part in rows.points_of(cut, key)]) == repr(kept)
    assert rows.flaw(cut) is None
    for name in ("layers", "classes", "marks", "facts"):
        assert getattr(cut, name) == [each for each in getattr(page, name) if each.step <= step]
    assert rows.times_of(cut).tolist() == rows.times_of(page)[rows.steps_of(page) <= step].tolist()


def _plain(page: wire.Batch) -> tuple:
    """A page as plain values; a series without any value says nothing, so it may be listed or not."""
    columns = {key: [part.tolist() for part in rows.column_of(page, key)] for key in sorted(page.scalars)}
    values = {key: repr(column) for key, column in columns.items() if column[0]}
    beside = (page.layers, page.classes, page.marks, page.facts)
    return page.seq, pages.first_seq(page), page.rows, rows.steps_of(page).tolist(), page.times_s, values, beside


def test_the_extents_of_256_batches_of_one_step_are_small():
    batches = [wire.Batch(seq=seq, start=seq, rows=1, times_s=bytes(8)) for seq in range(1, 257)]

    assert len(pages.extents_of(batches)) < 50


def test_a_gap_of_which_a_part_arrived_begins_behind_that_part():
    gap = wire.Batch(seq=9, first_seq=2, marks=[wire.Mark(step=11, time_s=0.0, text="lost", kind="gap")])

    rest = pages.trimmed(gap, seq=4, step=40)

    assert (rest.first_seq, rest.seq, rest.marks[0].step) == (5, 9, 41)


def test_of_a_gap_what_was_said_by_the_part_that_arrived_is_not_said_again():
    lost = wire.Mark(step=11, time_s=0.0, text="lost", kind="gap")
    early, arrived, missing, late = (
        wire.Mark(step=step, time_s=0.0, text=text)
        for step, text in ((39, "early"), (40, "arrived"), (40, "missing"), (41, "late"))
    )
    facts = [wire.Fact(step=step, name=f"at {step}", value=1) for step in (39, 40, 41)]
    gap = wire.Batch(seq=9, first_seq=2, marks=[lost, early, arrived, missing, late], facts=facts)

    rest = pages.trimmed(gap, seq=4, step=40, said=[arrived, facts[1]])

    assert rest.marks[1:] == [missing, late]
    assert rest.facts == [facts[2]]


def test_a_page_with_a_hole_in_its_numbers_is_cut_between_its_batches():
    batches = [wire.Batch(seq=seq, start=seq, rows=1, times_s=bytes(8)) for seq in (1, 2, 4, 5, 6, 7)]
    page, extents = rows.merge(batches), pages.extents_of(batches)

    rest = {seq: rows.steps_of(pages.after(page, extents, seq)).tolist() for seq in range(1, 7)}

    assert rest == {
        1: [2, 4, 5, 6, 7],
        2: [4, 5, 6, 7],
        3: [4, 5, 6, 7],
        4: [5, 6, 7],
        5: [6, 7],
        6: [7],
    }
