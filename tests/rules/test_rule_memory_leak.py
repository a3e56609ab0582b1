import msgspec
import numpy as np

from monitor.engine import Engine
from monitor.model import Severity
from tests.synthetic_runs import HELLO, batch, fail, falling

MIB = 2**20
STEPS = 2000


def run(mib: np.ndarray, *, kind="rss", limit_mib=65536, total_steps=None, epoch=2, step_s=0.5):
    """A run that holds so many MiB at each tenth step."""
    engine = Engine(on_fault=fail)
    engine.hello(msgspec.structs.replace(HELLO, total_steps=total_steps))
    name, limit = {
        "rss": ("memory/rss_bytes", "memory_limit_bytes"),
        "cuda": ("memory/allocated_bytes", "device_memory_bytes"),
    }[kind]
    made = batch(
        {"train/loss": falling(len(mib)), "time/step_s": [step_s] * len(mib), name: MIB * mib},
        facts={limit: float(MIB * limit_mib), "epoch": epoch},
    )
    at = np.arange(9, len(mib), 10, dtype="<u4")
    made.scalars[name] = type(made.scalars[name])((MIB * mib[at]).astype("<f8").tobytes(), at.tobytes())
    engine.feed(made)
    return [alert for alert in engine.alerts if alert.rule == "memory-leak"]


def held(start: float, pace: float = 0.0, *, steps: int = STEPS, noise: float = 1.0) -> np.ndarray:
    """MiB at each step: a level, what each step adds, and noise that is never below."""
    return start + pace * np.arange(steps) + noise * np.abs(np.random.default_rng(0).normal(size=steps))


def test_a_leak_that_fills_the_device_within_the_run_is_an_alarm_within_four_hundred_steps():
    (alert,) = run(held(1000, 1.0), kind="cuda", limit_mib=16000, total_steps=100_000, step_s=5.0)
    assert (alert.severity, alert.raised_step) == (Severity.WARNING, 384)
    assert alert.signals == ["memory/allocated_bytes", "memory/rss_bytes", "time/step_s"]
    assert alert.first_step == 170
    assert alert.summary.startswith("memory grows by 1 MiB a step since step ")


def test_half_an_hour_before_the_end_it_is_critical():
    (alert,) = run(held(1000, 1.0), kind="cuda", limit_mib=4000, total_steps=100_000)
    assert alert.severity is Severity.CRITICAL


def test_a_leak_that_lasts_the_run_is_a_notice():
    (alert,) = run(held(1000, 1.0), total_steps=10_000)
    assert alert.severity is Severity.NOTICE


def test_of_a_run_without_a_known_end_ten_times_its_steps_are_looked_ahead():
    (alert,) = run(held(1000, 1.0), limit_mib=65536, step_s=5.0)
    assert alert.severity is Severity.NOTICE
    (alert,) = run(held(1000, 1.0), limit_mib=8000, step_s=5.0)
    assert alert.severity is Severity.WARNING


def test_silent_on_memory_that_is_taken_and_given_back():
    assert run(held(1000, noise=300.0)) == []


def test_silent_on_a_first_quarter_that_fills_caches():
    assert run(np.where(np.arange(STEPS) < 300, held(1000, 2.0), held(1600))) == []


def test_silent_on_growth_that_comes_to_rest():
    rest = 1000 + 600 * (1 - np.exp(-np.arange(STEPS) / 300)) + np.random.default_rng(0).random(STEPS)
    assert run(rest) == []


def test_silent_on_a_list_of_numbers():
    assert run(held(1000, 0.0001)) == []


def test_resolves_once_it_has_stopped():
    grown = np.concatenate([held(1000, 1.0, steps=800), held(1800, steps=3200)])
    (alert,) = run(grown, limit_mib=4000)
    assert not alert.is_open
