import numpy as np
import pytest

from monitor.model import Severity
from tests.synthetic_runs import batch, falling, judge, judge_loss


def swinging(steps: int = 1200, onset: int = 300) -> np.ndarray:
    """Falls, then swings about a level well above its best."""
    t = np.arange(steps)
    loss = falling(steps, end=0.2, noise=0.02)
    loss[onset:] = 0.9 + 0.6 * np.sin(t[onset:] / 6) + 0.02 * np.random.default_rng(0).normal(size=steps - onset)
    return loss


def test_named_once_a_whole_window_swings():
    (alert,) = [alert for alert in judge_loss(swinging(), lr=0.5) if alert.rule == "oscillation"]
    assert alert.severity is Severity.WARNING
    assert alert.raised_step == 552
    assert alert.action == "Lower the learning rate from 0.5 to 0.15, or double the batch size"


@pytest.mark.parametrize("noise", [0.1, 0.5, 1.0])
def test_silent_on_noise_that_falls_however_loud(noise):
    rules = {alert.rule for seed in range(4) for alert in judge_loss(falling(3000, noise=noise, seed=seed))}
    assert "oscillation" not in rules


def test_silent_on_noise_about_a_floor_over_a_long_run():
    # The best of many noisy levels is far below the true level, by chance alone.
    loss = 1.0 + 0.3 * np.random.default_rng(0).normal(size=20_000)
    loss[:100] += np.linspace(1.3, 0.0, 100)
    assert "oscillation" not in {alert.rule for alert in judge_loss(loss)}


def test_silent_while_the_learning_rate_warms_up():
    assert judge_loss(swinging(), lr=np.linspace(1e-4, 0.5, 1200)) == ()


def test_swings_of_the_validation_alone_are_a_notice():
    val = 3.6 + 1.2 * np.sin(np.arange(40) * 1.7)
    val[:8] = np.geomspace(6.9, 2.4, 8)
    evaluations = {50 * i: {"val/loss": v} for i, v in enumerate(val, 1)}
    alerts = judge(batch({"train/loss": falling(2000, start=6.9, end=2.0, noise=0.02)}, val=evaluations))
    (alert,) = [alert for alert in alerts if alert.rule == "oscillation"]
    assert (alert.severity, alert.first_step) == (Severity.NOTICE, 400)


def test_silent_on_a_validation_that_is_noisy_and_falls():
    val = np.geomspace(6.9, 1.0, 40) + 0.3 * np.random.default_rng(0).normal(size=40)
    evaluations = {50 * i: {"val/loss": v} for i, v in enumerate(val, 1)}
    alerts = judge(batch({"train/loss": falling(2000, start=6.9, end=1.0, noise=0.02)}, val=evaluations))
    assert "oscillation" not in {alert.rule for alert in alerts}
