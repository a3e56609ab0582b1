import numpy as np

from monitor.model import Severity
from tests.synthetic_runs import CROSS_ENTROPY, batch, falling, judge


def run(loss, *, facts=CROSS_ENTROPY, **scalars):
    alerts = judge(batch({"train/loss": loss, **scalars}, facts=facts))
    return [alert for alert in alerts if alert.rule == "bad-start"]


def test_named_at_the_first_look_with_what_chance_would_give():
    (alert,) = run(falling(400, start=40.0))
    assert (alert.severity, alert.first_step, alert.raised_step) == (Severity.WARNING, 1, 8)
    assert alert.summary == "the first loss is 40, 17.4x the 2.3 of holding all classes for equally likely"


def test_resolves_when_the_loss_has_come_down():
    (alert,) = run(falling(400, start=40.0))
    assert alert.resolved_step == 264


def test_silent_on_a_start_at_chance_that_then_diverges():
    loss = np.full(200, 90.0)
    loss[:3] = 2.4, 8.0, 30.0
    assert run(loss) == []


def test_silent_at_twice_the_chance():
    assert run(falling(400, start=4.6)) == []


def test_silent_where_chance_is_not_known():
    assert run(falling(400, start=40.0), facts={"objective": "mse"}) == []


def test_silent_on_a_sum_over_the_batch():
    assert run(falling(400, start=2.3 * 32), facts=CROSS_ENTROPY | {"reduction": "sum"}) == []


def test_silent_on_a_sum_of_several_terms():
    terms = {"train/cross_entropy": falling(400), "train/mse_loss": falling(400, start=38.0)}
    assert run(falling(400, start=40.0), **terms) == []


def test_of_rare_classes_the_chance_of_equal_ones_counts():
    # A network that has seen nothing holds the classes for equally likely, whatever their frequencies.
    assert run(falling(400, start=0.7), facts={"objective": "binary_cross_entropy"}) == []
