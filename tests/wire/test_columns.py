"""Rows in, columns out, and back: what a builder was given is what a reader gets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import rows
from probe import packing, wire
from probe.batch import BatchBuilder

NUMBERS = st.floats(width=64, allow_nan=True, allow_infinity=True)
KEYS = st.sampled_from(["train/loss", "val/loss", "lr/0", "grad/norm"])
ROWS = st.lists(st.tuples(st.integers(0, 3), st.dictionaries(KEYS, NUMBERS, max_size=4)), max_size=40)


def build(given_rows, seq=1, step=0):
    """A batch of these rows, and what each key should give back."""
    builder, expected = BatchBuilder(), {}
    for ahead, scalars in given_rows:
        step += ahead
        builder.row(step, float(step), scalars)
        for key, value in scalars.items():
            expected.setdefault(key, []).append((step, value))
    return builder.build(seq), expected, step


def read(batch, key):
    steps, values = rows.points_of(batch, key)
    return repr(list(zip(steps.tolist(), values.tolist(), strict=True)))


@given(ROWS)
def test_every_point_comes_back(given_rows):
    batch, expected, _ = build(given_rows)

    assert rows.flaw(batch) is None
    assert {key: read(batch, key) for key in expected} == {key: repr(points) for key, points in expected.items()}


NAMES = st.permutations(["loss", "reward", "entropy"]).flatmap(
    lambda names: st.integers(0, 3).map(lambda n: names[:n])
)
PLAIN_ROWS = st.lists(NAMES, min_size=1, max_size=2).flatmap(
    lambda names: st.lists(
        st.tuples(
            st.integers(0, 5),
            NUMBERS,
            st.sampled_from(names).flatmap(lambda each: st.fixed_dictionaries(dict.fromkeys(each, NUMBERS))),
            st.sampled_from(["user", "user", "user", "val"]),
        ),
        min_size=1,
        max_size=8,
    )
)


@given(PLAIN_ROWS, st.integers(0, 5))
def test_rows_that_are_alike_are_taken_over_at_once_as_they_are_one_by_one(given_rows, last_step):
    at_once, one_by_one = BatchBuilder(last_step), BatchBuilder(last_step)
    for builder in (at_once, one_by_one):
        builder.row(last_step + 1, 0.5, {"loss": 1.0}, "user")
    for row in given_rows:
        one_by_one.row(*row)

    is_taken = at_once.take_alike(given_rows)

    names = {(area, *scalars) for _, _, scalars, area in given_rows}
    assert is_taken == (len(names) == 1 and len(names.pop()) > 1)
    if is_taken:
        assert at_once.build(1) == one_by_one.build(1)
        assert at_once.last_step == one_by_one.last_step


@pytest.mark.parametrize("bad", [(), (4, 1.0, ("loss",), "user"), (None, 1.0, {"loss": 1.0}, "user")])
def test_nothing_is_taken_over_when_one_of_the_rows_is_bad(bad):
    builder = BatchBuilder()

    with pytest.raises((TypeError, ValueError)):
        builder.take_alike([(3, 0.5, {"loss": 1.0}, "user"), bad])

    assert builder.is_empty


@given(st.lists(ROWS, min_size=1, max_size=5))
def test_a_page_of_merged_batches_holds_the_same_points(parts):
    batches, expected, step = [], {}, 0
    for seq, given_rows in enumerate(parts, 1):
        batch, points, step = build(given_rows, seq, step)
        batches.append(batch)
        for key, values in points.items():
            expected.setdefault(key, []).extend(values)

    page = rows.merge(batches)

    assert rows.flaw(page) is None
    assert (page.first_seq, page.seq, page.rows) == (1, len(parts), sum(map(len, parts)))
    assert {key: read(page, key) for key in expected} == {key: repr(points) for key, points in expected.items()}
    assert rows.times_of(page).tolist() == [t for batch in batches for t in rows.times_of(batch).tolist()]


def test_no_value_is_not_a_nan():
    batch, _, _ = build([(1, {"train/loss": math.nan}), (1, {})])

    assert read(batch, "train/loss") == "[(1, nan)]"


def test_a_constant_is_sent_once():
    batch, _, _ = build([(1, {"lr/0": 0.1})] * 200)

    assert len(batch.scalars["lr/0"].values) == 8
    assert rows.points_of(batch, "lr/0")[1].tolist() == [0.1] * 200


def test_consecutive_steps_are_not_sent():
    batch, _, _ = build([(1, {"lr/0": 0.1})] * 5)

    assert batch.steps == b""
    assert rows.steps_of(batch).tolist() == [1, 2, 3, 4, 5]


def test_a_row_below_the_last_step_is_taken_for_that():
    builder = BatchBuilder(last_step=8)
    for step in (7, 9, 11, 10):
        builder.row(step, 1.0, {"train/loss": float(step)})

    assert read(builder.build(1), "train/loss") == "[(8, 7.0), (9, 9.0), (11, 11.0), (11, 10.0)]"
    assert builder.last_step == 11


def test_a_step_that_falls_is_read_as_the_one_before_it():
    batch = falling(seq=1, steps=[10, 12, 11, 13])

    assert rows.flaw(batch) is None
    assert read(batch, "train/loss") == "[(10, 10.0), (12, 12.0), (12, 11.0), (13, 13.0)]"


def test_a_page_of_batches_that_fall_holds_the_points_of_both():
    page = rows.merge([falling(seq=1, steps=[11]), falling(seq=2, steps=[10, 12])])

    assert rows.flaw(page) is None
    assert read(page, "train/loss") == "[(11, 11.0), (11, 10.0), (12, 12.0)]"


def falling(seq, steps):
    """A batch that no builder makes; the loss of each row is its step."""
    floats = packing.pack_floats([float(step) for step in steps])
    return wire.Batch(
        seq=seq,
        start=steps[0],
        rows=len(steps),
        steps=packing.pack_steps(steps),
        times_s=floats,
        scalars={"train/loss": wire.Column(values=floats)},
    )


def test_a_batch_that_begins_below_a_step_is_raised_to_it():
    batch = rows.not_before(falling(seq=1, steps=[3, 4, 7]), 5)

    assert (batch.start, read(batch, "train/loss")) == (5, "[(5, 3.0), (5, 4.0), (7, 7.0)]")
    assert rows.not_before(batch, 5) is batch


def test_a_layer_without_a_value_stays_apart_from_a_nan():
    builder = BatchBuilder()
    builder.layers(3, {"grad_norm": [1.0, None, math.nan]})
    (stats,) = builder.build(1).layers

    index, values = rows.layer_points(stats.stats["grad_norm"], 3)

    assert (index.tolist(), repr(values.tolist())) == ([0, 2], "[1.0, nan]")
    assert repr(rows.layer_values(stats.stats["grad_norm"], 3).tolist()) == "[1.0, nan, nan]"


def test_class_counts_come_back():
    builder = BatchBuilder()
    builder.classes(3, "val", correct=[1, 2], total=[3, 4], predicted=[0, 7])

    correct, total, predicted = rows.counts_of(builder.build(1).classes[0])

    assert (correct.tolist(), total.tolist(), predicted.tolist()) == ([1, 2], [3, 4], [0, 7])


def test_what_was_taken_for_another_class_comes_back_and_what_was_right_is_not_sent_twice():
    builder = BatchBuilder()
    builder.classes(3, "val", [5, 0, 1], [7, 2, 1], [7, 1, 2], pairs=[5, 1, 1, 2, 0, 0, 0, 0, 1])
    (counts,) = builder.build(1).classes

    assert len(counts.confused.values) == 8 * 3
    assert rows.confused_of(counts).tolist() == [[0, 1, 1], [2, 0, 0], [0, 0, 0]]


def test_no_mistake_and_nothing_counted_are_told_apart():
    builder = BatchBuilder()
    builder.classes(3, "val", [5, 2], [5, 2], [5, 2], pairs=[5, 0, 0, 2])
    builder.classes(4, "val", [5, 2], [5, 2], [5, 2])
    without, unknown = builder.build(1).classes

    assert rows.confused_of(without).tolist() == [[0, 0], [0, 0]]
    assert rows.confused_of(unknown) is None


def test_of_the_evaluations_in_a_page_the_newest_keeps_what_it_took_for_what():
    batches = []
    for seq in (1, 2, 3):
        builder = BatchBuilder()
        builder.classes(seq, "val", [1, 1], [2, 1], [1, 2], pairs=[1, 1, 0, 1] if seq < 3 else None)
        batches.append(builder.build(seq))

    page = rows.merge(batches)

    assert [counts.confused is not None for counts in page.classes] == [False, True, False]
    assert [counts.total for counts in page.classes] == [packing.pack_steps([2, 1])] * 3


EIGHT, FOUR = bytes(8), bytes(4)


def confused(classes, **column):
    """A batch's class counts that say so of their confusions."""
    counts = EIGHT * classes
    found = wire.Column(**{"values": EIGHT, "at": FOUR, **column})
    return {
        "classes": [
            wire.ClassCounts(step=1, split="val", correct=counts, total=counts, predicted=counts, confused=found)
        ]
    }


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rows": -1}, "row count or sequence number out of range"),
        ({"rows": 1 << 40}, "row count or sequence number out of range"),
        ({"seq": 0}, "row count or sequence number out of range"),
        ({"first_seq": 9}, "row count or sequence number out of range"),
        ({"times_s": EIGHT}, "steps or times do not match the row count"),
        ({"steps": EIGHT}, "steps or times do not match the row count"),
        ({"start": 1 << 62}, "start out of range"),
        ({"steps": packing.pack_steps([1, 1 << 60])}, "steps out of range"),
        ({"scalars": {"a": wire.Column(values=bytes(24))}}, "column 'a' does not match the row count"),
        ({"scalars": {"a": wire.Column(values=bytes(7))}}, "column 'a' does not match the row count"),
        ({"scalars": {"a": wire.Column(values=EIGHT, at=FOUR * 2)}}, "column 'a' does not match the row count"),
        ({"scalars": {"a": wire.Column(values=EIGHT, at=b"\xff" * 4)}}, "column 'a' does not match the row count"),
        (
            {"scalars": {"a": wire.Column(values=EIGHT * 2, at=packing.pack_rows([1, 0]))}},
            "column 'a' does not match the row count",
        ),
        (
            {"layers": [wire.LayerStats(step=1, stats={"a": wire.Column(values=bytes(3))})]},
            "layer statistics of odd length",
        ),
        (
            {"classes": [wire.ClassCounts(step=1, split="val", correct=EIGHT, total=b"", predicted=b"")]},
            "class counts of different lengths",
        ),
        (confused(2, at=packing.pack_rows([4])), "confusions of more classes than there are"),
        (confused(2, at=b""), "confusions of more classes than there are"),
        (confused(2, values=EIGHT * 2), "confusions of more classes than there are"),
        (confused(100_000), "confusions of more classes than there are"),
    ],
)
def test_a_hostile_batch_is_named_before_it_is_read(fields, said):
    sound = {"seq": 1, "start": 1, "rows": 2, "times_s": packing.pack_floats([1.0, 2.0])}
    assert rows.flaw(wire.Batch(**sound)) is None

    assert rows.flaw(wire.Batch(**{**sound, **fields})) == said


def test_reading_a_column_copies_nothing_when_it_is_whole():
    batch, _, _ = build([(1, {"train/loss": 1.0}), (1, {"train/loss": 2.0})])

    values = rows.column_of(batch, "train/loss")[1]

    assert values.base is not None
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(values)[0] = 3.0
