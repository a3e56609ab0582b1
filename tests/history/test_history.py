"""The history: messages in, tables and series out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monitor.history import COURSE, Course, History
from monitor.rows import merge
from probe import wire
from probe.batch import BatchBuilder

LAYERS = [wire.Layer("conv", "Conv2d", 9), wire.Layer("fc", "Linear", 5)]


def hello(run_id="11111111", **fields):
    return wire.Hello(
        schema=1, run_id=run_id, name="run", started_s=100.0, layers=LAYERS, classes=["a", "b"], **fields
    )


def batch(seq, rows=(), *, build=lambda builder: None, time_s=lambda step: 100.0 + step):
    builder = BatchBuilder()
    for step, scalars in rows:
        builder.row(step, time_s(step), scalars)
    build(builder)
    return builder.build(seq)


@pytest.fixture
def history():
    history = History()
    history.apply(hello())
    return history


def points(history, key):
    return [part.tolist() for part in history.series()[key].tail(99)]


def test_a_batch_that_comes_twice_counts_once(history):
    first = batch(1, [(1, {"train/loss": 2.0}), (2, {"train/loss": 1.0})])
    history.apply(first)
    history.apply(first)

    assert points(history, "train/loss") == [[1, 2], [2.0, 1.0]]
    assert (history.step, history.last_seq) == (2, 1)


def test_a_validation_value_stands_at_its_step_beside_the_training(history):
    history.apply(batch(1, [(1, {"train/loss": 2.0}), (2, {"train/loss": 1.0}), (2, {"val/loss": 1.5})]))
    history.apply(batch(2, [(3, {"train/loss": 0.5})]))

    assert points(history, "train/loss") == [[1, 2, 3], [2.0, 1.0, 0.5]]
    assert points(history, "val/loss") == [[2], [1.5]]


def test_the_hello_of_another_run_empties_it(history):
    history.apply(batch(1, [(1, {"train/loss": 2.0})]))
    history.apply(hello("22222222"))

    assert (history.series(), history.step, history.last_seq) == ({}, 0, 0)


def test_the_hello_of_the_same_run_empties_nothing(history):
    history.apply(batch(1, [(1, {"train/loss": 2.0})]))
    history.apply(hello())

    assert points(history, "train/loss") == [[1], [2.0]]


def test_an_alert_told_again_replaces_itself(history):
    opened = wire.Alert(id=1, rule="spike", severity=wire.Severity.WARNING, raised_step=5)
    resolved = wire.Alert(id=1, rule="spike", severity=wire.Severity.WARNING, raised_step=5, resolved_step=9)
    other = wire.Alert(id=2, rule="stall", severity=wire.Severity.INFO, raised_step=7)
    for alert in (opened, other, resolved):
        history.apply(alert)

    assert history.alerts() == (resolved, other)


def test_a_layer_statistic_that_comes_more_rarely_keeps_its_last_report(history):
    history.apply(batch(1, build=lambda b: b.layers(10, {"grad_norm": [1.0, 2.0], "dead_frac": [0.25, None]})))
    history.apply(batch(2, build=lambda b: b.layers(20, {"grad_norm": [3.0, math.nan]})))

    table = history.layers()

    assert table.step == 20
    assert repr(table.latest["grad_norm"].tolist()) == "[3.0, nan]"
    assert repr(table.latest["dead_frac"].tolist()) == "[0.25, nan]"
    assert table.recent["grad_norm"].shape == (2, 2)
    assert table.recent_steps.tolist() == [10, 20]


def test_class_accuracy_of_an_evaluation_stands_beside_that_before(history):
    history.apply(batch(1, build=lambda b: b.classes(10, "val", [1, 4], [2, 4], [2, 4])))
    history.apply(batch(2, build=lambda b: b.classes(20, "val", [2, 3], [2, 4], [3, 3])))

    table = history.classes("val")

    assert (table.step, table.names) == (20, ("a", "b"))
    assert table.accuracy.tolist() == [1.0, 0.75]
    assert table.before.tolist() == [0.5, 1.0]


def test_training_counts_are_summed_until_they_mean_something(history):
    for seq in range(1, 5):
        history.apply(batch(seq, build=lambda b, seq=seq: b.classes(seq, "train", [100, 50], [200, 100], [0, 0])))

    table = history.classes("train")

    assert table.total.tolist() == [400, 200]
    assert table.accuracy.tolist() == [0.5, 0.5]


def test_training_accuracy_is_compared_with_as_many_samples_before():
    history = History()
    history.apply(hello())
    for seq, correct in enumerate([[10, 10], [50, 50], [100, 100]], 1):
        for part in range(3):  # three windows of 200 samples make the 512 that count
            history.apply(
                batch(3 * seq + part, build=lambda b, c=correct: b.classes(1, "train", c, [100, 100], [0, 0]))
            )

    table = history.classes("train")

    assert (table.total.tolist(), table.accuracy.tolist(), table.before.tolist()) == (
        [300, 300],
        [1.0, 1.0],
        [0.5, 0.5],
    )


@pytest.mark.parametrize(
    "message",
    [
        hello(),
        batch(1, [(1, {"train/loss": 2.0})]),
        wire.Heartbeat(time_s=99.0, step=1),
        wire.Alert(id=1, rule="spike", severity=wire.Severity.WARNING, raised_step=5, evidence={"loss": 3.0}),
        wire.Notice(text="the disk is full"),
        wire.Goodbye(time_s=9.0, reason="finished"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_is_told_again_is_no_news(message):
    history = History()

    assert [history.apply(message), history.apply(message)] == [True, False]


def test_statistics_of_a_layer_that_nobody_named_are_passed_over(history):
    history.apply(batch(1, build=lambda b: b.layers(10, {"grad_norm": [1.0, None, 3.0]})))

    assert repr(history.layers().latest["grad_norm"].tolist()) == "[1.0, nan]"
    assert repr(history.layers().recent["grad_norm"].tolist()) == "[[1.0, nan]]"


def test_what_was_taken_for_what_is_that_of_the_newest_evaluation(history):
    history.apply(batch(1, build=lambda b: b.classes(10, "val", [1, 4], [2, 5], [2, 5], pairs=[1, 1, 1, 4])))
    history.apply(batch(2, build=lambda b: b.classes(20, "val", [2, 3], [2, 5], [4, 3], pairs=[2, 0, 2, 3])))
    assert history.classes("val").confused.tolist() == [[0, 0], [2, 0]]

    history.apply(batch(3, build=lambda b: b.classes(30, "val", [2, 3], [2, 5], [4, 3])))
    assert history.classes("val").confused is None


def test_a_class_without_samples_has_no_accuracy(history):
    history.apply(batch(1, build=lambda b: b.classes(10, "val", [0, 4], [0, 4], [0, 4])))

    assert repr(history.classes("val").accuracy.tolist()) == "[nan, 1.0]"


def test_classes_beyond_the_names_are_numbered(history):
    history.apply(batch(1, build=lambda b: b.classes(10, "val", [1, 1, 1], [1, 1, 1], [1, 1, 1])))

    assert history.classes("val").names == ("a", "b", "2")


def test_steps_that_were_given_up_are_a_gap(history):
    history.apply(batch(1, [(1, {"train/loss": 2.0}), (2, {"train/loss": 2.0})]))
    history.apply(batch(2, build=lambda b: b.mark(wire.Mark(step=3, time_s=1.0, text="given up", kind="gap"))))
    history.apply(batch(3, [(8, {"train/loss": 1.0})]))

    assert history.gaps == [(3, 7)]


def test_the_newest_fact_of_a_name_holds(history):
    history.apply(batch(1, build=lambda b: b.fact(1, "epoch", 1)))
    history.apply(batch(2, build=lambda b: b.fact(20, "epoch", 2)))

    assert history.facts == {"epoch": 2}


def test_what_the_probe_cannot_see_is_said_after_what_the_recorder_says(history):
    history.apply(wire.Notice(text="the disk is full", time_s=1.0))
    history.apply(batch(1, build=lambda b: b.fact(1, "hidden", "Activations are not available.")))
    history.apply(batch(2, build=lambda b: b.fact(3, "hidden", "Activations are not available. Nor is validation.")))

    assert history.said() == ("the disk is full", "Activations are not available. Nor is validation.")


def test_a_gap_is_the_same_live_and_in_a_page(history):
    batches = [
        batch(1, [(1, {"train/loss": 2.0}), (2, {"train/loss": 2.0})]),
        batch(2, build=lambda b: b.mark(wire.Mark(step=3, time_s=1.0, text="given up", kind="gap"))),
        batch(3, [(8, {"train/loss": 1.0})]),
    ]
    history.apply(merge(batches))

    assert history.gaps == [(3, 7)]


def test_the_clock_knows_the_first_step_and_the_last_of_each_batch(history):
    history.apply(batch(1, [(step, {"train/loss": 1.0}) for step in (1, 2, 3)]))
    history.apply(batch(2, [(step, {"train/loss": 1.0}) for step in (4, 5)]))

    assert [part.tolist() for part in history.clock().tail(9)] == [[1, 3, 5], [101.0, 103.0, 105.0]]


def test_epochs_begin_at_the_steps_that_were_told(history):
    history.apply(batch(1, build=lambda builder: builder.fact(1, "epoch", 0)))
    history.apply(batch(2, build=lambda builder: builder.fact(40, "epoch", 1)))

    assert history.epochs == [(1, 0.0), (40, 1.0)]


def test_a_course_is_thinned_evenly_and_keeps_the_first_row():
    course = Course(lambda row, _n: row)
    for step in range(1, 1001):
        course.add(step, np.array([float(step)]))

    table, steps = course.table(1)

    assert COURSE // 2 <= len(steps) <= COURSE
    assert set(np.diff(steps).tolist()) == {4}
    assert table[:, 0].tolist() == steps.tolist()
    assert steps[0] == 1


def test_a_layer_statistic_that_is_nan_was_measured_and_one_that_is_absent_was_not(history):
    history.apply(batch(1, build=lambda builder: builder.layers(5, {"weight_norm": [math.nan, None]})))

    table = history.layers()

    assert [math.isnan(value) for value in table.latest["weight_norm"]] == [True, True]
    assert table.measured["weight_norm"].tolist() == [True, False]
