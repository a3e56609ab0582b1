import numpy as np

from monitor.model import Severity
from tests.synthetic_runs import batch, falling, judge


def run(*dead_frac: float):
    """A run whose layer conv2 has these shares of dead units, one a probe."""
    stats = {10 * i: {"dead_frac": [0.3, share, 0.0]} for i, share in enumerate(dead_frac, 1)}
    alerts = judge(batch({"train/loss": np.full(10 * len(dead_frac), 2.0)}, layers=stats))
    return tuple(alert for alert in alerts if alert.rule == "dead-units")


def test_named_at_the_fifth_probe_with_layer_and_first_step():
    (alert,) = run(0.5, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9)
    assert (alert.rule, alert.severity, alert.where) == ("dead-units", Severity.WARNING, ["conv2"])
    assert (alert.first_step, alert.raised_step) == (20, 60)
    assert alert.summary == "90% of the units of conv2 are zero for every sample since step 20"


def test_a_layer_that_is_all_dead_is_critical():
    (alert,) = run(1.0, 1.0, 1.0, 1.0, 1.0)
    assert alert.severity is Severity.CRITICAL


def test_a_notice_where_the_loss_has_halved_without_them():
    stats = {10 * i: {"dead_frac": [0.3, 0.83, 0.0]} for i in range(1, 30)}
    (alert,) = judge(batch({"train/loss": falling(300, end=0.1)}, layers=stats))
    assert alert.severity is Severity.WARNING  # it was said before that
    late = {step: row for step, row in stats.items() if step > 200}
    (alert,) = judge(batch({"train/loss": falling(300, end=0.1)}, layers=late))
    assert alert.severity is Severity.NOTICE


def test_silent_on_four_probes():
    assert run(0.9, 0.9, 0.9, 0.9) == ()


def test_silent_when_one_probe_in_five_is_alive():
    assert run(*[0.9, 0.9, 0.9, 0.9, 0.5] * 4) == ()


def test_silent_on_half_dead_layers():
    assert run(*[0.6] * 20) == ()


def test_stays_open_a_little_below_the_limit_and_resolves_well_below_it():
    (alert,) = run(*[0.9] * 5, *[0.6] * 20)
    assert alert.is_open
    (alert,) = run(*[0.9] * 5, *[0.1] * 20)
    assert alert.resolved_step == 80
