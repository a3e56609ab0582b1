import math

import numpy as np

from monitor.model import Severity
from monitor.rules import RunContext, Signal
from monitor.rules.non_finite import check
from tests.synthetic_runs import CROSS_ENTROPY, batch, falling, judge, judge_loss


def test_said_at_the_step_of_the_first_nan():
    loss = falling(200)
    loss[132:] = np.nan
    (alert,) = judge_loss(loss)
    assert (alert.rule, alert.severity) == ("non-finite", Severity.CRITICAL)
    assert (alert.first_step, alert.raised_step) == (133, 133)
    assert math.isnan(alert.evidence["loss"])
    assert alert.summary.startswith("loss is NaN from step 133 on; the loss was ")


def test_an_infinite_gradient_norm_is_named():
    norm = np.ones(100)
    norm[50] = np.inf
    (alert,) = judge(batch({"train/loss": falling(100), "grad/norm": norm}))
    assert (alert.rule, alert.first_step, alert.raised_step) == ("non-finite", 51, 51)
    assert alert.summary.startswith("gradient norm is infinite from step 51 on")


def test_a_nan_in_the_validation_is_named():
    (alert,) = judge(batch({"train/loss": falling(100)}, val={40: {"val/loss": math.nan}}))
    assert (alert.rule, alert.first_step, alert.raised_step) == ("non-finite", 40, 40)
    assert alert.summary.startswith("validation loss is NaN from step 40 on")


def test_resolves_when_the_numbers_come_back():
    loss = falling(200)
    loss[100] = np.nan
    (alert,) = judge_loss(loss)
    assert alert.first_step == 101
    assert alert.resolved_step == 128  # the third clean look at the newest 8 losses


def test_an_infinite_norm_under_amp_is_the_scaler_at_work():
    context = RunContext(uses_amp=True)
    found = check(Signal.of([0.5]), Signal.of([np.inf]), Signal.of([]), context)
    assert found.severity is Severity.INFO


def test_a_missing_validation_loss_is_no_nan():
    assert judge(batch({"train/loss": falling(100)}, val={40: {"val/accuracy": 0.9}})) == ()


def test_a_calm_loss_points_to_the_data_and_a_risen_one_to_the_learning_rate():
    calm, risen = falling(200), falling(200)
    risen[130:132] = 9.0
    calm[132:] = risen[132:] = np.nan
    assert judge_loss(calm)[0].action.startswith("Check the inputs of step 133")
    assert judge_loss(risen)[0].action.startswith("Lower the learning rate from 0.1 to 0.01")


def test_the_first_layer_that_is_not_finite_is_named():
    loss = falling(100)
    loss[40:] = np.nan
    stats = {"grad_norm": [0.1, math.nan, math.nan]}
    (alert,) = judge(batch({"train/loss": loss}, facts=CROSS_ENTROPY, layers={41: stats}))
    assert alert.where == ["conv2", "head"]
