import numpy as np

from monitor.model import Severity
from tests.synthetic_runs import CROSS_ENTROPY, batch, falling, judge

FLAT = np.full(400, 2.3)
DYING, STILL = [1e-9, 1e-4, 1e-1], [1e-9, 1e-4, 1e-3]


def run(gradient, ratio, loss=FLAT, **more):
    stats = {step: {"grad_norm": gradient, "update_ratio": ratio} for step in range(10, len(loss) + 1, 10)}
    facts = CROSS_ENTROPY | more
    alerts = judge(batch({"train/loss": loss}, facts=facts, layers=stats))
    return [alert for alert in alerts if alert.rule == "vanishing-gradient"]


def test_named_at_the_third_probe_after_a_hundred_steps_with_the_layers_that_starve():
    (alert,) = run(DYING, STILL)
    assert (alert.severity, alert.raised_step, alert.first_step) == (Severity.WARNING, 120, 60)
    assert alert.where == ["conv1"]
    assert alert.summary == (
        "the gradient falls by 8.0 decades on its way back: 0.1 in the last layer, 1e-09 in the first; "
        "conv1 hardly moved"
    )


def test_a_run_that_never_learns_for_it_is_one_incident():
    stats = {step: {"grad_norm": DYING, "update_ratio": STILL} for step in range(10, 401, 10)}
    (alert,) = judge(batch({"train/loss": FLAT}, facts=CROSS_ENTROPY, layers=stats))
    assert (alert.rule, alert.symptoms) == ("vanishing-gradient", ["never-learns"])


def test_a_gradient_that_underflows_to_zero_has_vanished():
    (alert,) = run([0.0, 1e-20, 1e-1], [0.0, 0.0, 1e-3])
    assert alert.where == ["conv1", "conv2"]


def test_silent_where_the_optimizer_makes_up_for_small_gradients():
    assert run(DYING, [1e-3, 1e-3, 1e-3], loss=falling(400)) == []


def test_an_optimizer_that_moves_every_layer_and_gets_nowhere_makes_up_for_nothing():
    (alert,) = run(DYING, [1e-3, 1e-3, 1e-3])
    assert (alert.raised_step, alert.where) == (120, ["conv1"])
    assert alert.summary.endswith("conv1 learn nothing, and neither does the network")


def test_silent_before_twice_the_end_of_the_warm_up():
    steps = np.arange(400)
    stats = {step: {"grad_norm": DYING, "update_ratio": STILL} for step in range(10, 401, 10)}
    scalars = {"train/loss": FLAT, "lr/0": np.minimum(steps + 1, 150) / 150}
    (alert,) = judge(batch(scalars, facts=CROSS_ENTROPY, layers=stats))
    assert (alert.rule, alert.raised_step) == ("vanishing-gradient", 320)


def test_silent_on_frozen_layers():
    assert run([np.nan, 1e-2, 1e-1], [0.0, 1e-3, 1e-3]) == []


def test_silent_on_two_decades():
    assert run([1e-6, 1e-5, 1e-4], STILL) == []


def test_silent_once_the_task_is_learned():
    learned = falling(400, end=0.001)
    learned[:100] = np.linspace(2.3, 0.1, 100)
    learned[100:] = 0.1
    assert run(DYING, STILL, loss=learned) == []


def test_silent_where_two_optimizers_play_against_each_other():
    assert run(DYING, STILL, optimizers=2) == []
