"""What a fault of structure brings about is folded under it: one incident, one alert, one thing to do."""

import numpy as np

from tests.synthetic_runs import batch, falling, judge


def diverging(onset: int = 300, steps: int = 500) -> np.ndarray:
    loss = falling(steps, noise=0.02)
    loss[onset:] += np.linspace(0.0, 9.0, steps - onset)
    return loss


def test_a_divergence_under_gradients_that_add_up_is_a_symptom_of_them():
    (alert,) = judge(batch({"train/loss": diverging()}, facts={"gradients_kept": True}))
    assert (alert.rule, alert.first_step, alert.raised_step) == ("missing-zero-grad", 1, 1)
    assert alert.symptoms == ["divergence", "oscillation"]


def test_a_divergence_in_a_loop_as_it_should_be_stands_for_itself():
    (alert,) = judge(batch({"train/loss": diverging()}))
    assert (alert.rule, alert.symptoms) == ("divergence", ["oscillation"])


def test_a_fault_that_begins_after_the_divergence_does_not_explain_it():
    loss = diverging()
    first = batch({"train/loss": loss[:400]})
    later = batch({"train/loss": loss[400:]}, seq=2, first_step=401, facts={"trains_in_eval_mode": True})
    assert [alert.rule for alert in judge(first, later)] == ["divergence", "wrong-mode"]
