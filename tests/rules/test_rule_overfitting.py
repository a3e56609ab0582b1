import numpy as np
import pytest

from monitor.model import Severity
from tests.synthetic_runs import batch, falling, judge

EPOCH = 20


def run(val_loss, train=None, val_accuracy=None):
    """An evaluation after every 20 steps."""
    steps = EPOCH * len(val_loss)
    val = {EPOCH * (i + 1): {"val/loss": v} for i, v in enumerate(val_loss)}
    for i, accuracy in enumerate(() if val_accuracy is None else val_accuracy):
        val[EPOCH * (i + 1)]["val/accuracy"] = accuracy
    return judge(batch({"train/loss": falling(steps) if train is None else train}, val=val))


U_SHAPE = [1.8, 1.2, 0.9, 0.7, 0.6, 0.62, 0.66, 0.72, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3]


def test_a_rising_validation_loss_is_a_warning_where_no_metric_tells():
    (alert,) = run(U_SHAPE)
    assert (alert.rule, alert.severity) == ("overfitting", Severity.WARNING)
    assert alert.first_step == 100  # the best evaluation
    assert alert.raised_step == 260
    assert alert.action == "Keep the checkpoint of step 100 and stop, or add augmentation, weight decay or data"


def test_a_notice_while_the_validation_accuracy_holds():
    (alert,) = run(U_SHAPE, val_accuracy=[0.6, 0.7, 0.8, 0.9, 0.93] + [0.935] * 9)
    assert alert.severity is Severity.NOTICE


def test_a_warning_when_the_validation_accuracy_falls():
    (alert,) = run(U_SHAPE, val_accuracy=[0.6, 0.7, 0.8, 0.9, 0.93, *np.linspace(0.93, 0.85, 9)])
    assert alert.severity is Severity.WARNING


def test_a_notice_while_the_validation_accuracy_is_below_its_best_by_no_more_than_its_noise():
    swinging = 0.9 + 0.02 * np.tile([1, -1], 7)
    (alert,) = run(U_SHAPE, val_accuracy=swinging)
    assert alert.severity is Severity.NOTICE


@pytest.mark.parametrize("seed", range(20))
def test_a_small_noisy_validation_set_is_not_overfitting_and_never_rings(seed):
    noise = 0.15 * np.random.default_rng(seed).normal(size=40)
    alerts = run(0.6 + np.exp(-np.arange(40) / 4) + noise)
    assert [alert.rule for alert in alerts if alert.rule == "overfitting" or alert.severity.is_alarm] == []


def test_silent_on_a_validation_below_the_training_as_with_dropout():
    assert run([0.5 - 0.01 * i for i in range(20)], train=falling(400, start=2.3, end=0.6)) == ()


def test_silent_when_both_rise():
    train = np.concatenate([falling(100), np.linspace(0.4, 2.0, 180)])
    assert [alert.rule for alert in run(U_SHAPE, train=train) if alert.rule == "overfitting"] == []


def test_silent_on_fewer_than_six_evaluations():
    assert run([0.6, 0.9, 1.2, 1.5, 1.8]) == ()


def test_silent_on_a_gap_that_was_there_from_the_start():
    assert run(list(1.5 + 0.8 * np.exp(-np.arange(20) / 5)), train=falling(400, end=0.1)) == ()
