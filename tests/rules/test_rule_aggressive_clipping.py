import numpy as np
import pytest

from monitor.model import Severity
from tests.synthetic_runs import batch, falling, judge


def run(limit: float, loss: np.ndarray | None = None, norm: float = 4.0):
    loss = falling(600) if loss is None else loss
    norms = norm * np.exp(0.3 * np.random.default_rng(0).normal(size=len(loss)))
    scalars = {"train/loss": loss, "grad/norm": norms, "grad/norm_applied": np.minimum(norms, limit)}
    alerts = judge(batch(scalars | {"lr/0": np.full(len(loss), 0.1)}))
    return [alert for alert in alerts if alert.rule == "aggressive-clipping"]


def test_a_limit_below_most_norms_is_a_remark():
    (alert,) = run(3.5)
    assert (alert.severity, alert.first_step, alert.raised_step) == (Severity.INFO, 1, 280)
    assert alert.summary == "61% of the newest 200 gradients were clipped, from 3.86 to 3.5"
    assert alert.action == (
        "Clip at 6, which nine of ten norms stay below; if that is too much, lower the learning rate from 0.1 to 0.03"
    )


def test_a_limit_below_nearly_all_norms_is_a_notice():
    (alert,) = run(1.0)
    assert alert.severity is Severity.NOTICE


def test_a_limit_that_stops_the_training_is_a_warning():
    (alert,) = run(0.01, loss=falling(600, end=2.1))
    assert alert.severity is Severity.WARNING


def test_a_tight_limit_on_purpose_in_a_run_that_learns_is_no_alarm():
    (alert,) = run(0.1)
    assert not alert.severity.is_alarm


@pytest.mark.parametrize("limit", [4.1, 10.0])
def test_silent_where_at_most_every_other_step_is_clipped(limit):
    assert run(limit) == []


def test_silent_without_clipping():
    loss = falling(600)
    assert judge(batch({"train/loss": loss, "grad/norm": np.full(600, 4.0)})) == ()
