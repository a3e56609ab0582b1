import math

from monitor.model import Severity
from tests.synthetic_runs import batch, falling, judge

LEFT_OUT = {"ungrouped_parameters": 1280, "ungrouped_layers": "conv1"}


def run(*gradient: float, ran: tuple[float, ...] = (1.0, 1.0, 1.0), probes: int = 6, **facts):
    """A run whose three layers have these gradient norms and deviations of their outputs; NaN: none."""
    stats = {"grad_norm": list(gradient), "act_std": list(ran)}
    probed = dict.fromkeys(range(10, 10 * probes + 1, 10), stats)
    return judge(batch({"train/loss": falling(10 * probes)}, layers=probed, facts=facts))


def test_layers_in_no_group_are_named_at_the_first_probe():
    (alert,) = run(0.1, 0.1, 0.1, **LEFT_OUT)
    assert (alert.rule, alert.severity, alert.where) == ("frozen-parameters", Severity.WARNING, ["conv1"])
    assert (alert.first_step, alert.raised_step) == (1, 10)
    assert alert.summary == "1,280 trainable parameters are in no optimizer, those of conv1"


def test_of_very_many_layers_all_are_counted():
    (alert,) = run(0.1, 0.1, 0.1, ungrouped_parameters=9, ungrouped_layers="a, b, c, d, e and 2 more")
    assert alert.where == ["a", "b", "c", "d", "e"]
    assert alert.summary.endswith("those of a, b, c, d, e and 2 more")


def test_features_below_a_head_that_get_no_gradient_are_a_notice():
    (alert,) = run(math.nan, 0.1, 0.1, **LEFT_OUT)
    assert alert.severity is Severity.NOTICE


def test_layers_that_no_gradient_reaches_are_named_at_the_fifth_probe():
    (alert,) = run(math.nan, math.nan, 0.1)
    assert (alert.severity, alert.where) == (Severity.WARNING, ["conv1", "conv2"])
    assert (alert.first_step, alert.raised_step) == (10, 50)
    assert alert.action == "Look for a detach(), .data, .item() or no_grad() between conv1, conv2 and the loss"


def test_a_head_that_nobody_uses_is_a_notice():
    (alert,) = run(0.1, 0.1, math.nan)
    assert (alert.severity, alert.where) == (Severity.NOTICE, ["head"])


def test_silent_on_layers_that_do_not_run():
    assert run(math.nan, 0.1, 0.1, ran=(math.nan, 1.0, 1.0)) == ()


def test_silent_where_no_layer_has_a_gradient():
    assert run(math.nan, math.nan, math.nan) == ()


def test_silent_on_a_second_optimizers_network():
    assert run(math.nan, 0.1, 0.1, optimizers=2) == ()


def test_silent_once_they_are_in_a_group():
    assert run(0.1, 0.1, 0.1, ungrouped_parameters=0, ungrouped_layers="") == ()
