import numpy as np

from monitor.model import Severity
from tests.synthetic_runs import batch, falling, judge


def norms(steps: int = 600) -> np.ndarray:
    return np.exp(0.2 * np.random.default_rng(0).normal(size=steps))


def run(norm: np.ndarray, loss: np.ndarray, **more):
    return judge(batch({"train/loss": loss, "grad/norm": norm, "lr/0": np.full(len(loss), 0.1)}, **more))


def bursting(onset: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Every third norm is 50 times the usual one from the onset on; the loss loses a part of what it had gained."""
    norm, loss = norms(), falling(600, noise=0.02)
    norm[onset::3] *= 50
    loss[onset:] += 0.8
    return norm, loss


def test_bursts_that_harm_the_loss_are_named_at_the_third_one():
    (alert,) = run(*(column[:500] for column in bursting()))
    assert (alert.rule, alert.severity) == ("exploding-gradient", Severity.WARNING)
    assert (alert.first_step, alert.raised_step) == (401, 416)
    assert alert.action == "Clip gradients at 1.2 and lower the learning rate from 0.1 to 0.03"


def test_critical_once_the_loss_is_above_its_start():
    norm, loss = bursting()
    loss[400:] += 2.0
    (alert,) = [alert for alert in run(norm, loss) if "exploding-gradient" in (alert.rule, *alert.symptoms)]
    assert alert.severity is Severity.CRITICAL


def test_resolves_when_the_bursts_are_over():
    norm, loss = bursting()
    norm[430:], loss[430:] = norms()[430:], falling(600, noise=0.02)[430:]
    (alert,) = run(norm, loss)
    assert alert.resolved_step == 480


def test_silent_on_bursts_that_do_the_loss_no_harm():
    norm, _ = bursting()
    assert run(norm, falling(600, noise=0.02)) == ()


def test_silent_on_a_norm_that_grows_a_hundredfold_over_a_fine_run():
    assert run(norms() * np.geomspace(0.1, 10.0, 600), falling(600, noise=0.02)) == ()


def test_silent_on_a_rare_hard_batch_near_a_loss_of_zero():
    norm, loss = norms() * 0.01, falling(600, end=0.0, noise=0.001)
    norm[450], loss[450] = 5.0, 1.5
    assert [alert.rule for alert in run(norm, loss) if alert.severity.is_alarm] == []


def test_silent_on_two_bursts():
    norm, loss = bursting()
    norm[400:] = norms()[400:]
    norm[[401, 405]] = 60.0
    assert run(norm[:500], loss[:500]) == ()


def test_silent_where_two_optimizers_play_against_each_other():
    assert run(*bursting(), facts={"optimizers": 2}) == ()
