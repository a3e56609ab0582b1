import numpy as np
import pytest

from monitor.model import Severity
from tests.synthetic_runs import CROSS_ENTROPY, batch, falling, judge

RISING = np.linspace(2.3, 40.0, 200)


def run(loss, *, facts=CROSS_ENTROPY, **scalars):
    alerts = judge(batch({"train/loss": loss, **scalars}, facts=facts))
    return [alert for alert in alerts if alert.rule == "wrong-sign"]


def test_a_cross_entropy_with_its_sign_turned_is_named_at_the_first_look():
    (alert,) = run(-RISING, **{"train/cross_entropy": RISING})
    assert (alert.severity, alert.first_step, alert.raised_step) == (Severity.CRITICAL, 14, 16)
    assert alert.summary == "the loss is -5.14: the cross entropy of 5.14 with its sign turned"
    assert alert.action == "Take the minus sign from the loss: the optimizer makes it as small as it can"


@pytest.mark.parametrize("objective", ["cross_entropy", "binary_cross_entropy", "mse", "l1"])
def test_a_loss_below_zero_that_cannot_be_is_named(objective):
    (alert,) = run(falling(200, start=0.5, end=-3.0), facts={"objective": objective})
    assert alert.severity is Severity.CRITICAL
    assert "never negative" in alert.summary


@pytest.mark.parametrize("objective", ["other", "nll"])
def test_silent_on_losses_that_may_be_negative(objective):
    assert run(falling(200, start=1.0, end=-5.0), facts={"objective": objective}) == []


def test_silent_on_a_sum_whose_other_term_is_negative():
    assert run(falling(200, end=-0.5), **{"train/cross_entropy": falling(200, end=0.01)}) == []


def test_silent_on_two_steps_below_zero():
    loss = falling(200)
    loss[[30, 31]] = -0.1
    assert run(loss) == []


def test_silent_on_a_log_that_does_not_say_what_its_loss_is():
    assert run(falling(200, start=1.0, end=-5.0), facts={}) == []
