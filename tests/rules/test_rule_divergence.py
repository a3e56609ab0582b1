import numpy as np
import pytest

from monitor.model import Severity
from probe.wire import Mark
from tests.synthetic_runs import CROSS_ENTROPY, batch, falling, judge, judge_loss


def diverging(onset: int = 400, steps: int = 600, to: float = 8.0) -> np.ndarray:
    loss = falling(steps, noise=0.02)
    loss[onset:] += np.minimum(np.arange(steps - onset) / 50, 1.0) * to
    return loss


def saved_at(step: int) -> Mark:
    written = {"path": f"/home/ada/.bedside/checkpoints/1a2b3c4d/step-{step}.pt"}
    return Mark(step=step, time_s=0.0, text="", kind="command", command="checkpoint", by="ada", applied=written)


def test_said_within_fifty_steps_of_the_onset_with_the_step_where_it_began():
    (alert,) = judge_loss(diverging(), lr=0.5)
    assert (alert.rule, alert.severity) == ("divergence", Severity.CRITICAL)
    assert alert.raised_step == 440
    assert 396 <= alert.first_step <= 412
    assert (
        alert.action
        == f"Lower the learning rate from 0.5 to 0.15 and reload the checkpoint before step {alert.first_step}"
    )


def test_the_last_checkpoint_from_before_the_rise_is_named_where_the_marks_tell_of_one():
    (alert,) = judge_loss(diverging(), lr=0.5, marks=[saved_at(step) for step in (100, 200, 300, 430)])
    again = f"the last checkpoint before step {alert.first_step}, step-300.pt"
    assert alert.action == f"Lower the learning rate from 0.5 to 0.15 and reload {again}"


def test_a_loss_that_loses_its_gains_but_stays_below_its_start_is_a_warning():
    (alert,) = judge_loss(diverging(to=1.8))
    assert (alert.rule, alert.severity) == ("divergence", Severity.WARNING)


def test_resolves_when_the_loss_comes_back():
    loss = diverging(steps=800)
    loss[520:] = falling(800, noise=0.02)[520:]
    (alert,) = judge_loss(loss)
    assert alert.resolved_step == 552


@pytest.mark.parametrize("seed", range(5))
def test_silent_on_noise_with_a_falling_trend(seed):
    assert [a.rule for a in judge_loss(falling(2000, noise=0.3, seed=seed)) if a.severity.is_alarm] == []


def test_silent_on_single_spikes():
    loss = falling(600, noise=0.02)
    loss[[150, 300, 450]] = 20.0
    assert "divergence" not in {alert.rule for alert in judge_loss(loss)}


def test_silent_after_a_warm_restart():
    loss, lr = falling(600, noise=0.02), np.full(600, 0.1)
    lr[200:400] = np.linspace(0.1, 0.001, 200)
    loss[400:480] += np.linspace(3.0, 0.0, 80)
    assert judge_loss(loss, lr=lr) == ()


def test_silent_when_a_person_marked_a_change_of_data():
    loss = falling(600, noise=0.02)
    loss[400:480] += np.linspace(3.0, 0.0, 80)
    mark = Mark(step=400, time_s=0.0, text="stage 2")
    assert [alert.rule for alert in judge_loss(loss)] == ["divergence"]
    assert judge_loss(loss, marks=[mark]) == ()


def test_silent_where_two_optimizers_play_against_each_other():
    assert judge_loss(diverging(), facts={"optimizers": 2}) == ()


def test_silent_on_a_value_loss_that_rises_with_the_reward():
    loss, reward = diverging(), np.linspace(0.0, 1.0, 600)
    assert judge(batch({"train/loss": loss, "train/accuracy": reward})) == ()


def test_silent_on_negative_losses_that_fall():
    assert judge_loss(falling(1000, start=1.0, end=-5.0, noise=0.1)) == ()


def test_a_start_that_jumps_about_far_above_itself_and_comes_to_rest_on_ruins_is_named_at_once():
    loss = np.full(100, 2.33)
    loss[:24] = [2.28, 2.6, 2.33, 2.35, 2.29, 2.33, 2.13, 3.1, 17, 482, 4.4, 15, 798, 3.9, 38, 3.1, *[3.5] * 8]
    alert = next(alert for alert in judge_loss(loss, facts=CROSS_ENTROPY) if alert.rule == "divergence")
    assert (alert.severity, alert.raised_step) == (Severity.CRITICAL, 16)


def test_silent_on_a_loss_that_begins_near_zero_and_is_noise():
    noise = 0.5 * np.random.default_rng(0).normal(size=300)
    noise[:3] = 0.001
    assert "divergence" not in {alert.rule for alert in judge_loss(noise)}


def test_a_start_is_the_first_loss_where_the_first_two_updates_blow_it_up():
    loss = np.append([4.5, 17.0, 30.0], np.full(97, 12.0))
    (alert,) = judge_loss(loss)
    assert (alert.rule, alert.raised_step, alert.evidence["start"]) == ("divergence", 32, 4.5)
