r"""Steps have become slower than they were in this run, and stay so.

Signals       step_s, samples_per_s, tokens_per_s: the newest steps; samples_per_s_course, tokens_per_s_course:
              medians of 16 steps over the whole run. Tokens, where there are any, else samples
Formula       usual = upper quartile of the course;  now = median of the newest 64 steps;  ratio = usual / now;
              sigma = noise of ln(course), from its differences;  lost = median(step_s) (1 - 1 / ratio)
Fires         ratio > 1.3 and ln(ratio) > 5 sigma: a notice, and a warning where ratio > 2 and lost > 10 ms
Evidence      ratio; now; usual: samples or tokens a second; lost_s: lost
Action        Look for another process on the device, its temperature and clocks, and the loader.
Quiet on      the first 256 steps; evaluation and saving, which are no part of a step; sequences or batches that grow,
              since their tokens or samples are counted; single slow steps
False alarms  not counted yet on other machines than the one of the tests; a warning asks for half the pace
Source        1.3 and the quartile (slow for less than three quarters of the run) are chosen

>>> fast, slow = np.full(40, 100.0), np.full(64, 40.0)
>>> none = Signal.of([])
>>> found = check(Signal.of(slow / 100), Signal.of(slow), none, Signal.of(fast), none, RunContext())
>>> found["ratio"], round(found["lost_s"], 2), found.severity.label
(2.5, 0.24, 'warning')
"""

from __future__ import annotations

import math

import numpy as np

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import Evidence, Rule, Signal
from monitor.rules.statistics import difference_noise, largest, median, smallest

STEPS = 64
CELLS = 12
RATIO, HALF = 1.3, 2.0
SIGMAS = 5.0
LOST_S = 0.01


def check(
    step_s: Signal,
    samples_per_s: Signal,
    tokens_per_s: Signal,
    samples_per_s_course: Signal,
    tokens_per_s_course: Signal,
    context: RunContext,
    *,
    level: float = 1.0,
) -> Evidence | None:
    has_tokens = len(tokens_per_s) >= STEPS
    rate, course = (tokens_per_s, tokens_per_s_course) if has_tokens else (samples_per_s, samples_per_s_course)
    if len(rate) < STEPS or len(course) < CELLS or not smallest(course.values) > 0:
        return None
    now = median(rate.values[-STEPS:])
    if largest(course.values) < now * RATIO**level:  # cheap, and true of a steady pace
        return None
    usual = float(np.quantile(course.values, 0.75))
    ratio = usual / max(now, 1e-9)
    needed = max(math.log(RATIO), SIGMAS * difference_noise(np.log(course.values)))
    if not math.log(max(ratio, 1e-9)) > level * needed:
        return None
    lost_s = median(step_s.values[-STEPS:]) * (1 - 1 / ratio)
    severity = Severity.WARNING if ratio > HALF and lost_s > LOST_S else Severity.NOTICE
    numbers = {"ratio": ratio, "now": now, "usual": usual, "lost_s": lost_s, "tokens": int(has_tokens)}
    return Evidence(numbers, first_step=onset(course, rate, usual), severity=severity)


def onset(course: Signal, rate: Signal, usual: float) -> int:
    """The step after the last part of the course that was at its usual pace."""
    slow = course.values < usual / RATIO
    at = len(slow) - int(np.argmin(slow[::-1])) if not slow.all() else 0
    return int(course.steps[at - 1]) + 1 if at > 0 else int(rate.steps[0])


def summary(found: Evidence, _context: RunContext) -> str:
    unit = "tokens" if found["tokens"] else "samples"
    return (
        f"steps are {found['ratio']:.1f}x slower than before step {found.first_step}: {found['now']:.3g} {unit} a "
        f"second, where {found['usual']:.3g} were usual"
    )


RULE = Rule(
    name="slow-steps",
    signals=("step_s", "samples_per_s", "tokens_per_s", "samples_per_s_course", "tokens_per_s_course"),
    severity=Severity.WARNING,
    summary=summary,
    action="Look for another process on the device, for its temperature and clocks, and at what the loader reads",
    check=check,
    window=512,
    every=64,
    hold=3,
    warm_up=256,
    symptom_of=("data-starvation",),
)
