"""One broken run, one alert: which of the rules that find something owns it, with all rules at work."""

import numpy as np

from monitor.model import Severity
from tests.synthetic_runs import CROSS_ENTROPY, batch, falling, judge

STEPS = 600


def probes(**stats) -> dict:
    """The same statistics of the layers every ten steps."""
    return dict.fromkeys(range(10, STEPS + 1, 10), stats)


def owner(loss: np.ndarray, *, layers=None, val_classes=None, **scalars):
    """The one alarm of a run."""
    columns = {"train/loss": loss, "lr/0": np.full(STEPS, 0.1), **scalars}
    alerts = judge(batch(columns, facts=CROSS_ENTROPY, layers=layers or {}, val_classes=val_classes or {}))
    (alarm,) = [alert for alert in alerts if alert.severity.is_alarm]
    return alarm


def test_a_spike_that_becomes_a_divergence_that_becomes_nan_is_one_divergence():
    loss = falling(STEPS, noise=0.02)
    loss[300:] += 8.0
    loss[500:] = np.nan
    alarm = owner(loss)
    assert (alarm.rule, alarm.severity) == ("divergence", Severity.CRITICAL)
    assert {"spike", "non-finite"} <= set(alarm.symptoms)


def test_a_gradient_that_explodes_with_the_loss_belongs_to_the_divergence():
    loss, norm = falling(STEPS, noise=0.02), np.exp(0.1 * np.random.default_rng(0).normal(size=STEPS))
    loss[300:] += np.minimum(np.arange(300) / 10, 8.0)
    norm[300:330] *= 100
    assert owner(loss, **{"grad/norm": norm}).rule == "divergence"


def test_a_network_whose_gradient_vanishes_never_learns_and_knows_one_class_for_that():
    flat = 2.3 + 0.02 * np.random.default_rng(0).normal(size=STEPS)
    layers = probes(grad_norm=[1e-9, 1e-4, 1e-1], update_ratio=[1e-9, 1e-4, 1e-3])
    counts = {50 * i: ((50, 0, 0), (50, 50, 50), (150, 0, 0)) for i in range(1, 13)}
    alarm = owner(flat, layers=layers, val_classes=counts)
    assert alarm.rule == "vanishing-gradient"
    assert {"never-learns", "class-collapse"} <= set(alarm.symptoms)


def test_units_that_die_in_an_explosion_at_the_start_belong_to_it():
    loss = 2.3 + 0.02 * np.random.default_rng(0).normal(size=STEPS)
    loss[7:16] = [17, 482, 4.4, 15, 798, 3.9, 38, 3.1, 60]
    layers = probes(dead_frac=[0.2, 1.0, 0.0], grad_norm=[0.0, 0.0, 0.2], update_ratio=[0.0, 0.0, 1e-4])
    alarm = owner(loss, layers=layers)
    assert alarm.rule == "divergence"
    assert {"dead-units", "never-learns"} <= set(alarm.symptoms)


def test_a_learning_rate_that_has_collapsed_is_why_nothing_moves():
    rate = np.maximum(0.1 * 0.1 ** (np.arange(STEPS) // 10), 1e-30)
    loss = np.maximum(falling(STEPS, end=0.1, noise=0.01), 2.0)
    layers = {step: {"update_ratio": [rate[step - 1]] * 3, "grad_norm": [0.1] * 3} for step in range(10, STEPS, 10)}
    alarm = owner(loss, layers=layers, **{"lr/0": rate})
    assert alarm.rule == "lr-collapse"


def test_a_clipping_limit_that_stops_the_training_is_why_it_is_slow():
    loss = falling(STEPS, start=2.3, end=2.28, noise=0.01)
    norm = np.full(STEPS, 2.0)
    layers = probes(update_ratio=[1e-6] * 3, grad_norm=[1.0] * 3)
    alarm = owner(loss, layers=layers, **{"grad/norm": norm, "grad/norm_applied": 0.0001 * norm})
    assert alarm.rule == "aggressive-clipping"
    assert {"slow", "never-learns"} <= set(alarm.symptoms)
