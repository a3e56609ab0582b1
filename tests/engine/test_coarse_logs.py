"""Logs of which a row is an epoch, or one step of many: few rows, of which each says much."""

import msgspec
import numpy as np

from monitor.engine import Engine
from monitor.model import Severity
from probe import wire
from tests.synthetic_runs import HELLO, batch, fail, falling, judge, judge_loss


def coarse(loss, stride: int = 100, **more) -> tuple[wire.Alert, ...]:
    """All alerts of a log with a row each ``stride`` steps."""
    dense = batch({"train/loss": loss}, **more)
    steps = (np.frombuffer(dense.steps, "<i8") - 1) * stride
    return judge(msgspec.structs.replace(dense, steps=steps.tobytes()))


def by_epoch(loss, val_loss) -> tuple[wire.Alert, ...]:
    """All alerts of a log of epochs, each with its evaluation."""
    return judge(batch({"train/loss": loss}, val={i: {"val/loss": v} for i, v in enumerate(val_loss, 1)}))


def names(alerts) -> list[str]:
    return [alert.rule for alert in alerts]


def test_ten_flat_epochs_are_named():
    loss = [0.83, 0.84, 0.835, 0.833, 0.837, 0.835, 0.842, 0.83, 0.839, 0.832]
    (alert,) = by_epoch(loss, np.linspace(0.968, 0.966, 10))
    assert (alert.rule, alert.severity, alert.raised_step) == ("never-learns", Severity.NOTICE, 10)


def test_ten_steps_of_a_training_are_too_few_to_say_so():
    assert judge_loss([0.83, 0.84, 0.835, 0.833, 0.837, 0.835, 0.842, 0.83, 0.839, 0.832]) == ()


def test_an_explosion_between_two_rows_is_named_in_a_log_of_nine():
    loss = [31.3, *np.linspace(1760.0, 1740.0, 8)]
    (alert,) = coarse(loss, stride=1700, val={i: {"val/loss": 2 * v} for i, v in enumerate(loss, 1)})
    assert (alert.rule, alert.severity) == ("divergence", Severity.CRITICAL)
    assert (alert.first_step, alert.raised_step) == (1700, 11900)


def test_a_run_that_ends_in_an_explosion_of_two_steps_is_named_at_its_end():
    (alert,) = judge_loss([0.56, *np.full(53, 0.15), 0.43, 89.0, 3.7e9])
    assert (alert.rule, alert.first_step, alert.raised_step) == ("divergence", 56, 57)


def test_a_rest_since_the_first_third_of_forty_rows_is_a_notice():
    loss = np.append(np.geomspace(31.0, 5.4, 15), 5.4 + 0.01 * np.sin(np.arange(28)))
    (alert,) = coarse(loss)
    assert (alert.rule, alert.severity) == ("stall", Severity.NOTICE)


def test_the_start_of_a_coarse_log_is_its_first_row():
    # The third row of a log each 100 steps is long past the start, which a spike is measured against.
    loss = np.concatenate([[32.0, 6.0], np.full(200, 5.4)]) + 0.02 * np.random.default_rng(0).normal(size=202)
    loss[150] = 6.4
    assert "spike" not in names(coarse(loss))


def test_a_row_far_above_the_others_is_named_after_fifty_rows():
    loss = np.append(np.geomspace(11.0, 2.3, 30), 2.2 + 0.05 * np.random.default_rng(0).normal(size=70))
    loss[60:70] = [32.0, 6.6, 5.9, 5.4, 5.1, 5.0, 4.8, 4.6, 4.5, 4.4]
    (alert,) = [alert for alert in coarse(loss) if alert.rule == "spike"]
    assert (alert.severity, alert.first_step) == (Severity.WARNING, 6000)


def test_an_evaluation_far_above_the_others_is_a_notice():
    val = np.append(np.linspace(2.0, 0.5, 20), [9.0, *np.linspace(0.5, 0.45, 11)])
    (alert,) = by_epoch(falling(32), val)
    assert (alert.rule, alert.severity, alert.first_step) == ("spike", Severity.NOTICE, 21)
    assert alert.summary == "validation loss jumped from 0.776 to 9 at step 21"


def test_silent_on_forty_rows_that_fall():
    assert coarse(falling(40, noise=0.02)) == ()


def test_no_alarm_on_a_value_loss_without_a_validation():
    loss = 0.2 + 0.05 * np.random.default_rng(0).normal(size=300)
    assert [alert for alert in coarse(loss) if alert.severity.is_alarm] == []


def test_a_coarse_log_is_judged_the_same_in_however_many_batches_it_comes():
    loss = 0.83 + 0.005 * np.random.default_rng(0).normal(size=30)
    engine = Engine(on_fault=fail)
    engine.hello(HELLO)
    for i, value in enumerate(loss):
        one = batch({"train/loss": [value]}, seq=i + 1)
        engine.feed(wire.Batch(seq=i + 1, rows=1, start=1700 * i, times_s=one.times_s, scalars=one.scalars))
    engine.finish(None)
    assert [(a.rule, a.first_step, a.raised_step) for a in engine.alerts] == [("never-learns", 0, 15300)]
    assert engine.alerts[0].evidence == coarse(loss, stride=1700)[0].evidence
