"""The published rules, each where its paper says that it fires."""

import numpy as np

from tests.diagnosis import published
from tests.diagnosis.published import Recording


def recording(layers=None, **series):
    """A run of consecutive steps; series by their keys with _ for /."""
    scalars = {key.replace("_", "/", 1): (np.arange(1, len(v) + 1), np.array(v, float)) for key, v in series.items()}
    return Recording(scalars, layers or {}, np.array([100.0, 100.0]))


FALLING = 2 * np.exp(-np.arange(1000) / 200)
NOISE = np.random.default_rng(0).normal(0, 0.1, 1000)


def test_terminate_on_nan():
    assert published.not_finite(recording(train_loss=[1, np.nan, np.inf])).tolist() == [2, 3]


def test_loss_not_decreasing_compares_over_its_steps():
    assert published.loss_not_decreasing(10)(recording(train_loss=FALLING)).tolist() == []
    assert published.loss_not_decreasing(500)(recording(train_loss=np.ones(1001))).tolist() == [501, 1001]


def test_six_sigma_needs_64_steps():
    loss = 1 + NOISE
    loss[[30, 500]] = 9
    assert 501 in published.six_sigma(recording(train_loss=loss))
    assert 31 not in published.six_sigma(recording(train_loss=loss))


def test_megatron_compares_with_the_first_hundred():
    loss = np.ones(300)
    loss[[50, 200]] = 5, 50
    assert published.ten_times_most(recording(train_loss=loss)).tolist() == [201]


def test_kill_loss_spike_needs_five_in_a_row():
    four, five = np.ones(300), np.ones(300)
    four[200:204] = 5
    five[200:205] = 5
    assert published.kill_loss_spike(recording(train_loss=four)).tolist() == []
    assert published.kill_loss_spike(recording(train_loss=five)).tolist() == [205]


def test_four_times_the_best_smoothed_loss():
    loss = np.where(np.arange(400) < 200, 1.0, 20.0)
    first = published.four_times_best(recording(train_loss=loss))[0]
    assert 200 < first < 220


def test_fluctuating_fires_on_mere_noise():
    assert published.fluctuating(recording(train_loss=FALLING)).tolist() == []
    assert len(published.fluctuating(recording(train_loss=FALLING + NOISE))) == 96


def test_stagnated_needs_four_checks():
    assert published.stagnated(recording(train_loss=np.ones(60)))[0] == 50
    assert published.stagnated(recording(train_loss=0.9 ** np.arange(60))).tolist() == []


def test_early_stopping_waits_for_three():
    run = recording(val_loss=[3, 2, 2.1, 2.2, 1.9, 2, 2, 2])
    assert published.early_stopping(run).tolist() == [8]


def test_deep_localize_looks_for_five_that_are_equal():
    assert published.same_again(recording(train_loss=[3, 2, 2, 2, 2, 1])).tolist() == []
    assert published.same_again(recording(train_loss=[3, 2, 2, 2, 2, 2])).tolist() == [6]


def test_layers_are_judged_by_the_worst():
    looks = (np.array([10, 20]), np.array([[1e-3, 1e-3], [1e-3, 0.5]]))
    run = recording(layers={"update_ratio": looks, "dead_frac": looks, "grad_norm": (looks[0], looks[1] * 1e-8)})
    assert published.deepchecker_update_ratio(run).tolist() == [20]
    assert published.sagemaker_update_ratio(run).tolist() == []
    assert published.dead_relu(run).tolist() == []
    assert published.vanishing(run).tolist() == [10, 20]


def test_a_rule_without_its_series_is_silent():
    for fires in published.RULES.values():
        assert fires(recording(train_loss=[2.0])).size == 0
