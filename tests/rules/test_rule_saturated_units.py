import numpy as np

from monitor.model import Severity
from tests.synthetic_runs import CROSS_ENTROPY, batch, falling, judge

FLAT = np.full(150, 2.0)


def run(*shares, loss=FLAT, **more):
    """A run with these shares of saturated units of its three layers, one set a probe."""
    stats = {10 * i: {"saturated_frac": share} for i, share in enumerate(shares, 1)}
    return judge(batch({"train/loss": loss}, facts=CROSS_ENTROPY | more, layers=stats))


def test_named_at_the_fifth_probe_with_layer_and_first_step():
    (alert,) = run([0.1, 0.2, 0.0], *[[0.1, 0.7, 0.0]] * 8)
    assert (alert.rule, alert.severity, alert.where) == ("saturated-units", Severity.WARNING, ["conv2"])
    assert (alert.first_step, alert.raised_step) == (20, 60)
    assert alert.summary == "70% of the units of conv2 stand at their limits since step 20"


def test_silent_on_an_output_that_is_to_be_zero_or_one():
    assert run(*[[0.1, 0.2, 0.9]] * 10) == ()


def test_silent_on_four_probes():
    assert run(*[[0.9, 0.9, 0.0]] * 4) == ()


def test_a_notice_once_the_task_is_learned():
    (alert,) = run(*[[0.9, 0.9, 0.0]] * 10, loss=falling(150, end=0.0) * 0.2)
    assert alert.severity is Severity.NOTICE


def test_silent_on_half_of_the_units():
    assert run(*[[0.5, 0.5, 0.0]] * 10) == ()


def test_silent_where_two_optimizers_play_against_each_other():
    assert run(*[[0.9, 0.9, 0.0]] * 10, optimizers=2) == ()


def test_resolves_when_the_units_come_back():
    (alert,) = run(*[[0.9, 0.1, 0.0]] * 5, *[[0.1, 0.1, 0.0]] * 10)
    assert alert.resolved_step == 80
