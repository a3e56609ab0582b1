import numpy as np

from monitor.model import Severity
from tests.synthetic_runs import CROSS_ENTROPY, batch, falling, judge


def resting(level: float = 1.5, steps: int = 3000) -> np.ndarray:
    loss = level + 0.02 * np.random.default_rng(0).normal(size=steps)
    loss[:600] += np.linspace(2.3 - level, 0.0, 600)
    return loss


def run(loss: np.ndarray, val_over_train: float = 1.03, accuracy: float | None = 0.45, facts=CROSS_ENTROPY):
    val = {step: {"val/loss": val_over_train * loss[step - 1]} for step in range(100, len(loss) + 1, 100)}
    scalars = {"train/loss": loss}
    if accuracy is not None:
        scalars["train/accuracy"] = np.full(len(loss), accuracy)
    return [alert for alert in judge(batch(scalars, val=val, facts=facts)) if alert.rule == "underfitting"]


def test_a_rest_far_from_the_task_in_training_and_validation_is_a_notice():
    (alert,) = run(resting())
    assert (alert.severity, alert.raised_step) == (Severity.NOTICE, 960)
    assert alert.summary.endswith("stay at 65% of the loss of guessing, and hardly fall")


def test_without_a_known_trivial_loss_the_start_is_the_measure():
    (alert,) = run(resting(), accuracy=None, facts={"objective": "mse"})
    assert alert.summary.endswith("stay at 65% of the loss of the start, and hardly fall")


def test_silent_while_it_still_falls_well():
    assert run(np.linspace(2.3, 0.5, 1500)) == []


def test_far_from_the_task_a_slow_fall_is_a_notice_too():
    (alert,) = run(np.append(np.linspace(2.3, 2.0, 200), np.linspace(2.0, 1.8, 400)), accuracy=0.2)
    assert (alert.severity, alert.raised_step) == (Severity.NOTICE, 600)


def test_silent_on_a_gap_to_the_validation():
    assert run(resting(), val_over_train=1.5) == []


def test_silent_on_a_good_accuracy():
    assert run(resting(), accuracy=0.7) == []


def test_silent_near_the_task():
    assert run(resting(0.5)) == []


def test_silent_on_a_run_that_has_learned_nothing():
    assert run(resting(2.29)) == []


def test_silent_while_a_run_is_short():
    assert run(resting()[:490]) == []


def test_resolves_when_it_falls_again():
    (alert,) = run(np.concatenate([resting(), falling(2000, start=1.5, end=0.1, noise=0.02)]))
    assert 3000 < alert.resolved_step < 3600
