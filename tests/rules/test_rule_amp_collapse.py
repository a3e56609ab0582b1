import numpy as np

from monitor.model import Severity
from tests.synthetic_runs import batch, falling, judge


def run(scale, skipped):
    """The scale and the skipped steps so far, one value a completed step."""
    scalars = {"train/loss": falling(len(scale)), "amp/scale": scale, "amp/skipped_total": skipped}
    return judge(batch(scalars))


def test_one_skip_in_ten_is_named_with_its_rate():
    skipped = np.maximum(np.arange(600) - 299, 0) // 10
    (alert,) = run(np.full(600, 4096.0), skipped)
    assert (alert.rule, alert.severity) == ("amp-collapse", Severity.WARNING)
    assert (alert.first_step, alert.raised_step) == (310, 416)  # 11 of 211
    assert alert.summary == "AMP has skipped 11 steps (5%) while 200 were made; the loss scale is 4.1e+03"


def test_four_skips_in_a_row_are_named_at_once():
    skipped = np.where(np.arange(600) >= 400, 4.0, 0.0)
    (alert,) = run(np.full(600, 4096.0), skipped)
    assert (alert.first_step, alert.raised_step) == (401, 416)


def test_a_scale_that_has_fallen_to_one_is_named():
    (alert,) = run(np.geomspace(65536.0, 0.5, 600), np.zeros(600))
    assert alert.raised_step == 576


def test_silent_while_a_scaler_finds_its_scale():
    skipped = np.minimum(np.arange(600), 16.0)
    assert run(np.full(600, 1.0 * 2**8), skipped) == ()


def test_silent_on_the_skip_by_which_a_larger_scale_is_tried():
    skipped = (np.arange(6000) >= 3000) + (np.arange(6000) >= 5000).astype(float)
    assert run(np.full(6000, 4096.0), skipped) == ()


def test_silent_on_a_scale_that_was_set_to_one():
    assert run(np.ones(600), np.zeros(600)) == ()


def test_resolves_when_no_step_is_skipped_any_more():
    skipped = np.where(np.arange(600) >= 400, 4.0, 0.0)
    (alert,) = run(np.full(600, 4096.0), skipped)
    assert alert.resolved_step == 464
