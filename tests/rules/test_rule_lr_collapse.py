import numpy as np

from monitor.model import Severity
from tests.synthetic_runs import CROSS_ENTROPY, batch, falling, judge


def run(lr: np.ndarray, *, end: float = 1.8, **facts):
    """A run that stops where its learning rate does: the update ratio is a hundredth of it."""
    steps = len(lr)
    loss = np.maximum(falling(steps, end=0.1, noise=0.01), end)
    stats = {step: {"update_ratio": [lr[step - 1] / 100] * 3} for step in range(10, steps + 1, 10)}
    scalars = {"train/loss": loss, "lr/0": lr}
    alerts = judge(batch(scalars, facts=CROSS_ENTROPY | facts, layers=stats))
    return [alert for alert in alerts if alert.rule == "lr-collapse"]


def each_ten_steps(steps: int = 600) -> np.ndarray:
    return np.maximum(0.1 * 0.1 ** (np.arange(steps) // 10), 1e-30)


def test_a_rate_that_falls_tenfold_each_ten_steps_is_named_with_the_step_at_which_it_was_gone():
    (alert,) = run(each_ten_steps(), scheduler="StepLR", scheduler_steps_per="step")
    assert (alert.severity, alert.raised_step) == (Severity.WARNING, 168)
    assert alert.first_step == 41
    assert alert.action == (
        "Call StepLR once an epoch: it is stepped with each batch; or give it the number of batches to span"
    )


def test_without_a_known_scheduler_a_floor_is_proposed():
    (alert,) = run(each_ten_steps())
    assert alert.action == ("Give the scheduler more steps, or a floor such as 0.001, and set the learning rate back")


def test_silent_at_the_end_of_a_cosine():
    assert run(0.05 * (1 + np.cos(np.pi * np.arange(3000) / 3000))) == []


def test_silent_at_the_end_of_a_linear_decay():
    assert run(np.linspace(0.1, 0.0, 3000)) == []


def test_silent_on_three_drops_to_a_tenth():
    assert run(0.1 * 0.1 ** (np.arange(3000) // 750)) == []


def test_silent_on_warm_restarts():
    assert run(np.tile(0.05 * (1 + np.cos(np.pi * np.arange(500) / 500)), 6)) == []


def test_silent_while_the_rate_warms_up():
    assert run(np.geomspace(1e-7, 0.1, 1000)) == []


def test_a_network_that_has_learned_its_task_may_be_done():
    (alert,) = run(np.where(np.arange(3000) < 1500, 0.1, 1e-6), end=0.05)
    assert alert.severity is Severity.NOTICE
    assert alert.action == (
        "Stop, if this loss will do; else give the scheduler more steps, or a floor such as 0.001, and set the "
        "learning rate back"
    )


def test_resolves_when_the_rate_comes_back():
    lr = each_ten_steps()
    lr[300:] = 0.1
    (alert,) = run(lr)
    assert alert.resolved_step == 360
