from itertools import pairwise

import numpy as np

from monitor.model import Severity
from tests.synthetic_runs import batch, falling, judge


def run(share: float, step_s: float = 0.1, *, steps: int = 600, epochs: tuple[int, ...] = (1, 100), onset: int = 0):
    """A run whose loader takes this share of each step from ``onset`` on; epochs begin at the given steps."""
    data_s = np.where(np.arange(steps) >= onset, share, 0.01) * step_s * np.tile([0.5, 1.0, 1.5], steps)[:steps]
    loss, batches = falling(steps), []
    for number, (first, end) in enumerate(pairwise([*epochs, steps + 1]), 1):
        part = slice(first - 1, end - 1)
        scalars = {"train/loss": loss[part], "time/step_s": [step_s] * (end - first), "time/data_s": data_s[part]}
        facts = {"epoch": number} if len(epochs) > 1 else {}
        batches.append(batch(scalars, seq=number, first_step=first, facts=facts))
    return judge(*batches)


def test_half_of_each_step_is_a_notice_in_the_first_epoch_and_an_alarm_in_the_second():
    (alert,) = run(0.5, epochs=(1, 400))
    assert (alert.rule, alert.severity) == ("data-starvation", Severity.WARNING)
    assert (alert.first_step, alert.raised_step) == (15, 96)
    assert alert.summary == "50% of each step is spent waiting for data: 50 of 100 ms"


def test_a_first_epoch_that_fills_a_cache_is_no_alarm():
    (alert,) = run(0.5, epochs=(1,))
    assert alert.severity is Severity.NOTICE


def test_a_run_that_has_no_second_epoch_is_judged_after_a_thousand_steps():
    (alert,) = run(0.5, epochs=(1,), steps=1200)
    assert alert.severity is Severity.WARNING


def test_tiny_models_wait_for_any_loader():
    (alert,) = run(0.5, step_s=0.003)
    assert alert.severity is Severity.INFO
    (alert,) = run(0.5, step_s=0.015)
    assert alert.severity is Severity.NOTICE


def test_silent_on_a_loader_that_keeps_up():
    assert run(0.2) == ()


def test_silent_on_single_long_waits():
    steps = 600
    data_s = np.where(np.arange(steps) % 10 == 0, 5.0, 0.001)
    scalars = {"train/loss": falling(steps), "time/step_s": data_s + 0.1, "time/data_s": data_s}
    assert judge(batch(scalars, facts={"epoch": 2})) == ()


def test_a_loader_that_falls_behind_in_the_middle_is_said_within_a_hundred_steps():
    (alert,) = run(0.5, onset=300)
    assert (alert.first_step, alert.raised_step) == (303, 384)


def test_less_than_half_of_each_step_rings_nowhere():
    (alert,) = run(0.4)

    assert alert.severity is Severity.NOTICE
