import numpy as np

from monitor.model import Severity
from tests.synthetic_runs import CROSS_ENTROPY, batch, falling, judge


def run(ratio: float, loss: np.ndarray, *, gradient: float = 0.1, lr: np.ndarray | float = 1e-6):
    steps = len(loss)
    stats = {"update_ratio": [ratio, ratio / 2, ratio / 3], "grad_norm": [gradient] * 3}
    scalars = {"train/loss": loss, "lr/0": np.broadcast_to(lr, (steps,))}
    alerts = judge(batch(scalars, facts=CROSS_ENTROPY, layers=dict.fromkeys(range(10, steps + 1, 10), stats)))
    return tuple(alert for alert in alerts if alert.rule == "slow")


FLAT = falling(500, start=2.3, end=2.29, noise=0.01)


def test_named_after_two_hundred_steps_with_a_learning_rate_that_would_do():
    (alert,) = run(1e-6, FLAT)
    assert (alert.rule, alert.severity) == ("slow", Severity.WARNING)
    assert alert.raised_step == 264  # the third look from step 200 on
    assert alert.action == "Raise the learning rate from 1e-06 to about 0.001"
    assert alert.signals == ["update_ratio", "grad_norm"]


def test_silent_on_a_loss_that_falls_all_the_same():
    assert run(1e-6, falling(500)) == ()


def test_silent_on_usual_updates():
    assert run(1e-4, FLAT) == ()


def test_silent_on_a_network_without_gradient():
    assert run(1e-6, FLAT, gradient=1e-9) == ()


def test_silent_in_the_tail_of_a_schedule():
    assert run(1e-6, FLAT, lr=np.linspace(1.0, 0.0, 500) ** 4) == ()


def test_silent_while_the_learning_rate_warms_up():
    assert run(1e-6, FLAT, lr=np.linspace(1e-9, 1e-3, 500)) == ()


def test_named_where_the_layers_are_no_longer_looked_at():
    stats = {"update_ratio": [1e-6, 1e-6, 1e-6], "grad_norm": [0.1] * 3}
    scalars = {"train/loss": FLAT, "lr/0": np.full(500, 1e-6)}
    (alert,) = judge(batch(scalars, facts=CROSS_ENTROPY, layers=dict.fromkeys(range(10, 181, 10), stats)))
    assert (alert.rule, alert.symptoms, alert.raised_step) == ("slow", ["never-learns"], 264)
