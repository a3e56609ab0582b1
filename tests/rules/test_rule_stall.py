import numpy as np

from monitor.model import Severity
from tests.synthetic_runs import CROSS_ENTROPY, batch, falling, judge, judge_loss


def plateau(level: float, steps: int = 3000) -> np.ndarray:
    loss = np.full(steps, level) + 0.02 * np.random.default_rng(0).normal(size=steps)
    loss[:600] += np.linspace(2.3 - level, 0.0, 600)
    return loss


def test_a_plateau_without_known_headroom_is_a_remark():
    loss = np.concatenate([falling(1600, start=2.3, end=1.2, noise=0.02), plateau(1.2)[600:1600]])
    (alert,) = judge_loss(loss)
    assert (alert.rule, alert.severity, alert.raised_step) == ("stall", Severity.INFO, 2176)


def test_a_plateau_since_half_of_the_run_is_a_notice():
    (alert,) = judge_loss(plateau(1.2))
    assert (alert.rule, alert.severity) == ("stall", Severity.NOTICE)
    assert alert.raised_step == 1152
    assert alert.summary.startswith("loss has stood at 1.19 for ")


def test_a_plateau_far_above_what_can_be_reached_is_a_warning():
    scalars = {"train/loss": plateau(1.2), "train/accuracy": np.full(3000, 0.5), "lr/0": np.full(3000, 0.1)}
    (alert,) = judge(batch(scalars, facts=CROSS_ENTROPY))
    assert (alert.rule, alert.severity) == ("stall", Severity.WARNING)
    assert alert.action == "Lower the learning rate from 0.1 to 0.03"


def test_silent_on_slow_but_steady_progress():
    loss = 5.0 - 0.3 * np.log(np.arange(1, 5001)) + 0.05 * np.random.default_rng(0).normal(size=5000)
    assert judge_loss(loss) == ()


def test_silent_at_the_end_of_a_schedule():
    lr = np.full(3000, 0.1)
    lr[550:] = 0.001
    assert judge_loss(plateau(1.2), lr=lr) == ()


def test_silent_while_a_run_is_short():
    assert judge_loss(plateau(1.2)[:990]) == ()


def test_resolves_when_it_falls_again():
    loss = np.concatenate([plateau(1.2), falling(2000, start=1.2, end=0.1, noise=0.02)])
    (alert,) = judge_loss(loss)
    assert alert.resolved_step is not None
    assert 3000 < alert.resolved_step < 3600
