r"""The training process is alive, and has made no step for far longer than its own pace.

Signals       none: the facts stalled and stalled_at, which the probe says from another thread of the process
Formula       silence = time since the newest step, batch of a loader or move of the thread;  usual = mean step time
Fires         silence > max(60 s, 20 usual), in training, after 10 steps: critical while the thread waits for a loader
              or stands in a step, a notice while it stands anywhere else (the training may be over)
Evidence      step: the newest one
Action        Look at the line that is named; a loader's worker may be dead, a collective may wait for another rank.
Quiet on      evaluation, also of a copy as long as it moves; checkpoints, pauses; the time that the whole process
              was stopped; compilation; the first 10 steps; a run that has made its total_steps
False alarms  not counted yet; in a notebook that is left open after its training it is a notice
Source        SageMaker Debugger's StalledTrainingRule waits 1800 s for any run; 60 s and 20 steps are chosen

>>> facts = {"stalled": "data", "stalled_at": "train.py:42 main, in queue.py:171 get"}
>>> found = check(RunContext(step=300, facts=facts, fact_steps={"stalled": 300}))
>>> summary(found, RunContext(facts=facts))
'no step since step 300: the process waits for data (train.py:42 main, in queue.py:171 get)'
"""

from __future__ import annotations

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import Clock, Evidence, Rule

PLACES = {"data": "waits for data", "step": "stands in a step", "loop": "stands outside a step"}


def check(context: RunContext, *, level: float = 1.0) -> Evidence | None:
    where = context.facts.get("stalled")
    if not where or (context.total_steps is not None and context.step >= context.total_steps):
        return None
    step = context.fact_steps["stalled"]
    severity = Severity.NOTICE if where == "loop" else Severity.CRITICAL
    return Evidence({"step": step}, first_step=step, severity=severity)


def summary(found: Evidence, context: RunContext) -> str:
    place = PLACES.get(str(context.facts.get("stalled")), "has hung")
    return f"no step since step {found.first_step}: the process {place} ({context.facts.get('stalled_at')})"


def action(_found: Evidence, context: RunContext) -> str:
    if context.facts.get("stalled") == "data":
        return "Look for a dead worker of the loader, or a file system that hangs; then start again from a checkpoint"
    return "Look at the named line, and whether another rank has died; then start again from a checkpoint"


RULE = Rule(
    name="stalled-process",
    signals=(),
    severity=Severity.CRITICAL,
    summary=summary,
    action=action,
    check=check,
    clock=Clock.FACTS,
    hold=1,
)
