import numpy as np

from monitor.model import Severity
from tests.synthetic_runs import batch, falling, judge


def run(step_s: np.ndarray, *, samples: np.ndarray | int = 32, tokens: np.ndarray | None = None):
    """A run with these times of its steps and these sizes of its batches."""
    scalars = {"train/loss": falling(len(step_s)), "time/step_s": step_s, "rate/samples_per_s": samples / step_s}
    if tokens is not None:
        scalars["rate/tokens_per_s"] = tokens / step_s
    return judge(batch(scalars))


def paces(*times: tuple[float, int], noise: float = 0.1, seed: int = 0) -> np.ndarray:
    """Steps of these times in seconds, each so many, with independent noise."""
    flat = np.concatenate([np.full(count, each) for each, count in times])
    return flat * np.exp(noise * np.random.default_rng(seed).normal(size=len(flat)))


def test_steps_that_take_three_times_as_long_are_an_alarm_within_two_hundred_of_them():
    (alert,) = run(paces((0.1, 1000), (0.3, 600)))
    assert (alert.rule, alert.severity) == ("slow-steps", Severity.WARNING)
    assert (alert.first_step, alert.raised_step) == (993, 1216)
    assert alert.summary.startswith("steps are 3.0x slower than before step 993: ")


def test_half_as_long_again_is_a_notice():
    (alert,) = run(paces((0.1, 1000), (0.15, 600)))
    assert alert.severity is Severity.NOTICE


def test_a_few_milliseconds_are_no_alarm():
    (alert,) = run(paces((0.003, 1000), (0.009, 600)))
    assert alert.severity is Severity.NOTICE


def test_resolves_when_they_are_as_quick_as_before():
    (alert,) = run(paces((0.1, 1000), (0.3, 300), (0.1, 700)))
    assert alert.resolved_step == 1472


def test_silent_on_steps_of_changing_length():
    assert run(paces((0.1, 3000), noise=0.5)) == ()


def test_silent_on_a_slow_start():
    assert run(paces((0.5, 100), (0.1, 900))) == ()


def test_silent_on_evaluations_and_single_slow_steps():
    times = paces((0.1, 2000))
    times[::50] *= 20
    assert run(times) == ()


def test_silent_on_sequences_and_batches_that_grow():
    growing = np.repeat([1.0, 2.0, 4.0], 500)
    assert run(0.1 * growing, tokens=1000 * growing) == ()
    assert run(0.1 * growing, samples=32 * growing) == ()
