import numpy as np

from monitor.model import Severity
from tests.synthetic_runs import batch, falling, judge, judge_loss


def jumping(lasts: int, to: float = 9.0, at: int = 400) -> np.ndarray:
    """A loss that jumps after ``at`` steps and comes back over so many."""
    loss = falling(600, noise=0.02)
    loss[at : at + lasts] += np.linspace(to, 0.0, lasts, endpoint=False)
    return loss


def named(loss: np.ndarray, **more) -> list:
    return [alert for alert in judge_loss(loss, **more) if alert.rule == "spike"]


def test_one_outlier_is_a_remark_at_its_step():
    (alert,) = judge_loss(jumping(1))
    assert (alert.rule, alert.severity) == ("spike", Severity.INFO)
    assert (alert.first_step, alert.raised_step) == (401, 408)
    assert alert.summary == "loss jumped from 0.526 to 9.43 at step 401"
    assert alert.resolved_step == 440


def test_a_spike_that_the_weights_have_felt_is_a_warning():
    (alert,) = named(jumping(12))
    assert (alert.severity, alert.first_step, alert.raised_step) == (Severity.WARNING, 401, 408)
    assert alert.summary == "loss jumped from 0.518 to 9.43 at step 401, and stood at 6.06 over the 8 steps after it"
    assert (
        alert.action == "Look at the batch of step 401; clip gradients, or lower the learning rate from 0.1 to 0.03"
    )


def test_a_loss_that_does_not_come_back_is_a_divergence_with_the_spike_as_its_beginning():
    loss = falling(600, noise=0.02)
    loss[400:] += 6.0
    (alert,) = judge_loss(loss)
    assert (alert.rule, alert.severity) == ("divergence", Severity.CRITICAL)
    assert "spike" in alert.symptoms


def test_silent_on_a_jump_within_what_was_gained():
    assert named(jumping(1, to=1.5)) == []


def test_silent_on_hard_samples_that_come_again_and_again():
    loss = falling(600, noise=0.02)
    loss[60::50] = 4.0
    assert named(loss) == []


def test_no_alarm_on_the_heavy_tails_of_tiny_batches():
    rng = np.random.default_rng(0)
    alerts = [alert for _ in range(4) for alert in named(falling(3000) * rng.lognormal(0.0, 0.8, 3000))]
    assert [alert for alert in alerts if alert.severity.is_alarm] == []


def test_silent_on_a_rise_over_many_steps():
    loss = falling(600, noise=0.02)
    loss[400:460] += np.linspace(0.0, 9.0, 60)
    loss[460:] += 9.0
    assert named(loss) == []


def test_silent_when_the_schedule_has_just_raised_the_learning_rate():
    lr = np.full(600, 0.1)
    lr[200:390] = 0.001
    assert named(jumping(12), lr=lr) == []


def test_silent_on_a_loss_that_is_not_what_is_optimised():
    loss = jumping(1) + np.linspace(0.0, 1.0, 600)
    reward = {"train/accuracy": np.linspace(0.0, 1.0, 600)}
    assert [alert.rule for alert in judge(batch({"train/loss": loss}))] == ["spike"]
    assert judge(batch({"train/loss": loss} | reward)) == ()
