r"""The memory that the run holds grows steadily and will not suffice.

Signals       allocated_bytes_course, rss_bytes_course: what tensors occupy on the CUDA devices, and the resident
              memory of the process, over the whole run; step_s: the newest steps
Formula       x = the newest two thirds of the course, in 16 block minima;  growth = x_16 - x_1;
              pace = growth a step;  left = (limit - now) / pace, in steps
Fires         Mann-Kendall z of x > 4, growth > max(5 % of x_1, 32 MiB), and the second half grew by more than 0.75 of
              the first: a notice; a warning where left is less than the rest of the run (than 10 times the steps so
              far, where its length is not known); critical where left takes less than half an hour
Evidence      growth_bytes; pace_bytes: a step; now_bytes; limit_bytes; left: steps; left_s
Action        Keep numbers, not tensors: loss.item(), and detach() what is put into a list.
Quiet on      what torch's allocator reserves; the first third of the run; growth that slows down, as of caches; a
              first epoch that reads its data in (a notice); a few numbers kept in a list at each step
False alarms  0 of 274 recordings of the zoo, healthy and sick, of which the leaks had one reading of memory after
              their onset; it is read more often since
Source        the trend test: Mann 1945, doi:10.2307/1907187; the limits are chosen

>>> held, none = Signal.of(1e8 + 2e6 * np.arange(64)), Signal.of([])
>>> context = RunContext(points=64, facts={"device_memory_bytes": 3e8})
>>> found = check(held, none, Signal.of([0.1]), context)
>>> found["pace_bytes"], found["left"], found.severity.label
(2000000.0, 37.0, 'critical')
"""

from __future__ import annotations

import math

from monitor.model import Action, Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import Evidence, Rule, Signal
from monitor.rules.statistics import mann_kendall_z, median

BLOCKS = 16
Z = 4.0
SHARE, LEAST_BYTES = 0.05, 32 * 2**20
STEADY = 0.75
#: Of a run whose length is not known: so many times its steps so far it may still be meant to go on.
HORIZON = 10
SOON_S = 1800.0
FIRST_STEPS = 1000
MIB = 2**20


def check(
    allocated_bytes_course: Signal,
    rss_bytes_course: Signal,
    step_s: Signal,
    context: RunContext,
    *,
    level: float = 1.0,
) -> Evidence | None:
    for course, limit in ((allocated_bytes_course, "device_memory_bytes"), (rss_bytes_course, "memory_limit_bytes")):
        found = leak(course, limit_of(context, limit), step_s, context, level)
        if found is not None:
            return found
    return None


def limit_of(context: RunContext, name: str) -> float:
    limit = context.facts.get(name)
    return float(limit) if isinstance(limit, int | float) else math.inf


def leak(course: Signal, limit: float, step_s: Signal, context: RunContext, level: float) -> Evidence | None:
    start = len(course) // 3
    width = (len(course) - start) // BLOCKS
    if not width:
        return None
    values, steps = course.values[-width * BLOCKS :], course.steps[-width * BLOCKS :]
    # The lowest of each block: what is held for a moment only is no leak.
    x = values.reshape(BLOCKS, width).min(axis=1)
    first, second = x[BLOCKS // 2] - x[0], x[-1] - x[BLOCKS // 2]
    growth = float(x[-1] - x[0])
    is_steady = second > STEADY * level * first and mann_kendall_z(x) > Z * level
    if not (is_steady and growth > level * max(SHARE * float(x[0]), LEAST_BYTES)):
        return None
    pace = growth / float(steps[-width] - steps[0])
    now = float(values[-1])
    left = max(limit - now, 0.0) / pace
    left_s = left * median(step_s.values)
    numbers = {
        "growth_bytes": growth,
        "pace_bytes": pace,
        "now_bytes": now,
        "limit_bytes": limit,
        "left": left,
        "left_s": left_s,
    }
    return Evidence(numbers, first_step=int(steps[0]), severity=severity_of(left, left_s, context))


def severity_of(left: float, left_s: float, context: RunContext) -> Severity:
    to_go = HORIZON * context.points if context.total_steps is None else context.total_steps - context.step
    if left > to_go:
        return Severity.NOTICE
    if left_s < SOON_S:
        return Severity.CRITICAL
    epoch = context.facts.get("epoch")
    is_first = not (isinstance(epoch, int | float) and epoch > 1) and context.points < FIRST_STEPS
    return Severity.NOTICE if is_first else Severity.WARNING


def summary(found: Evidence, _context: RunContext) -> str:
    said = (
        f"memory grows by {found['pace_bytes'] / MIB:.2g} MiB a step since step {found.first_step}, and is at "
        f"{found['now_bytes'] / MIB:,.0f} MiB"
    )
    if math.isinf(found["limit_bytes"]):
        return said
    return f"{said}; of {found['limit_bytes'] / MIB:,.0f} MiB the rest lasts for {found['left']:,.0f} steps more"


def offers(_found: Evidence, _context: RunContext) -> tuple[Action, ...]:
    return (Action("checkpoint"),)


RULE = Rule(
    name="memory-leak",
    signals=("allocated_bytes_course", "rss_bytes_course", "step_s"),
    severity=Severity.WARNING,
    summary=summary,
    action="Keep numbers, not tensors: loss.item() for a running sum, detach() for what is put into a list",
    offers=offers,
    check=check,
    window=512,
    every=32,
    hold=3,
    warm_up=320,
)
