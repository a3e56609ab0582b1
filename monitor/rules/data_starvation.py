r"""A large share of each step is spent waiting for data.

Signals       data_s, step_s: what the training thread waited for its loader, and the whole step, in seconds
Formula       wait = median(data_s),  share = median(data_s / step_s),  over the newest 50 steps
Fires         share > 0.3: for information where wait < 2 ms; a notice below 10 ms, below a share of 0.5, and in the
              first epoch (or the first 1000 steps); else a warning
Evidence      share; wait_s: wait; step_s: median step
Action        More loader workers, pinned memory, prefetching; or decode the data once and keep them.
Quiet on      the first 20 steps; evaluation and saving, which are no part of a step; tiny models, whose steps are
              shorter than any loader's; a first epoch that fills a cache
False alarms  not counted yet on other machines than the one of the tests
Source        NVIDIA and PyTorch tuning guides name the symptom and no limit; 0.3, 0.5 and 10 ms are chosen

>>> wait, step, context = Signal.of([0.06] * 50), Signal.of([0.1] * 50), RunContext(points=2000)
>>> found = check(wait, step, context)
>>> round(found["share"], 2), found.severity.label
(0.6, 'warning')
"""

from __future__ import annotations

import numpy as np

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import Evidence, Rule, Signal
from monitor.rules.statistics import largest, median, smallest

STEPS = 50
SHARE = 0.3
#: From here on the loader, not the training, is what takes the time.
MOST = 0.5
#: A wait below which nobody gains by its going, and one from which on it is worth an alarm, in seconds.
LEAST_S, LOST_S = 0.002, 0.01
#: Where no second epoch is seen by then, there is none that would fill a cache.
FIRST_STEPS = 1000


def check(data_s: Signal, step_s: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    n = min(len(data_s), len(step_s))
    if n < STEPS:
        return None
    # The first step of a run has a time of neither, and each later one of both.
    wait, step = data_s.values[-STEPS:], step_s.values[-STEPS:]
    if not largest(wait) / max(smallest(step), 1e-9) > SHARE * level:  # cheap, and true of few steps
        return None
    share = median(wait / np.maximum(step, 1e-9))
    if not share > SHARE * level:
        return None
    lost = median(wait)
    numbers = {"share": share, "wait_s": lost, "step_s": median(step)}
    return Evidence(numbers, first_step=int(data_s.steps[-STEPS]), severity=severity_of(share, lost, context))


def severity_of(share: float, wait_s: float, context: RunContext) -> Severity:
    epoch = context.facts.get("epoch")
    is_first = not (isinstance(epoch, int | float) and epoch > 1) and context.points < FIRST_STEPS
    if wait_s < LEAST_S:
        return Severity.INFO
    return Severity.NOTICE if is_first or wait_s < LOST_S or share < MOST else Severity.WARNING


def summary(found: Evidence, _context: RunContext) -> str:
    wait, step = 1000 * found["wait_s"], 1000 * found["step_s"]
    return f"{found['share']:.0%} of each step is spent waiting for data: {wait:.3g} of {step:.3g} ms"


RULE = Rule(
    name="data-starvation",
    signals=("data_s", "step_s"),
    severity=Severity.WARNING,
    summary=summary,
    action="Give the DataLoader more workers (num_workers, prefetch_factor, pin_memory), or prepare the data once",
    check=check,
    window=64,
    every=16,
    hold=3,
    warm_up=64,
)
