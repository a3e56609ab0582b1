r"""The loss has lost what it had gained: it stands far above its best, or above its start, and stays there.

Signals       training loss
Formula       cur = median of 16;  lost = cur - best;  D = drop;  SE = 1.2533 noise / sqrt(16);
              ref = max(start, trivial);  rise = 32 Theil-Sen slopes of the newest 32
Fires         lost > max(8 SE, D / 2, |best| / 20) and
              (cur > ref + max(6 SE, |ref| / 2), or all of the newest 16 are above ref + |ref| / 2 whatever the SE
              or  rise > max(6 SE, |ref| / 5) and lost > 0.75 D
              or  lost > 0.9 D where D is a true gain, of 15 % of the start at least);
              at once if the last but one is above 100 ref and the newest 10 times that; if the newest 2 coarse rows
              of a log with evaluations are above 10 ref; or, where the trivial loss is known, if 3 of the newest 16
              are above 10 ref and the median of the 16 is above ref
Evidence      loss: cur; best; start; ratio: cur / start; rise
Action        Lower the learning rate to a third and reload the checkpoint from before the rise.
Quiet on      noise about a level, a slow rise within the gains, several optimizers, a learning rate that has just
              been raised (100 steps), a marked change of data, a training accuracy or reward that improves meanwhile
False alarms  0 of 145 healthy small networks (177,095 steps) and of 53 published healthy curves
Source        limits from a pilot on 244 recorded runs of small networks; chosen, not derived

>>> falling = np.linspace(2.3, 0.5, 200)
>>> check(Signal.of(falling), RunContext(start=2.3, best=0.5)) is None
True
>>> risen = np.append(falling, np.full(32, 6.0))
>>> round(check(Signal.of(risen), RunContext(start=2.3, best=0.5, best_step=200))["ratio"], 1)
2.6
"""

from __future__ import annotations

import numpy as np

from monitor.model import Action, Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, TREND, Clock, Evidence, Rule, Signal, rounded
from monitor.rules.statistics import largest, median, median_se, smallest, theil_sen

#: Steps in a level, and in the slope; shorter ones follow single batches, longer ones lose the steps before the NaN.
LEVEL, SLOPE = 16, 32
#: Losses so many times the reference are an explosion: of coarse rows, which stand for many steps, two in a row; of
#: steps, so many in a level. A loss that begins near zero (a policy's) may be that without harm: of it are asked a
#: hundred times, and ten times that in the next step.
EXPLODED, BURSTS, NEAR_ZERO = 10.0, 3, 100.0
#: The learning rate to try: a third leaves the unstable region in one or two steps and costs little if it is too low.
LR_FACTOR = 0.3


def check(loss: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    if context.metric_improves:
        return None
    ref = context.reference
    if explodes(loss, context) or bursts(loss, context):
        return explosion(loss, context)
    if len(loss) < LEVEL:
        return None
    cur = median(loss.values[-LEVEL:])
    lost = cur - context.best
    if not lost > level * max(context.drop / 2, abs(context.best) / 20):
        return None
    # No noise about the reference puts 16 losses in a row above it; an explosion is its own noise, and hides in SE.
    se, exploded = median_se(context.noise, LEVEL), smallest(loss.values[-LEVEL:]) > ref + level * abs(ref) / 2
    if not (exploded or lost > level * (8 * se)):
        return None
    above = exploded or cur > ref + level * max(6 * se, abs(ref) / 2)
    rise = theil_sen(loss.values[-SLOPE:]) * SLOPE if len(loss) >= SLOPE else 0.0
    rising = rise > level * max(6 * se, abs(ref) / 5) and lost > 0.75 * context.drop
    undone = lost > 0.9 * level * context.drop and context.start - context.best >= context.drop
    # An open alert closes by the loss coming back, not by the rise coming to an end on a high level.
    if not (above or rising or undone or (level < 1 and lost > context.drop / 2)):
        return None
    ratio = cur / context.start if context.start > 0 else np.nan
    return Evidence(
        {"loss": cur, "best": context.best, "start": context.start, "ratio": ratio, "rise": rise},
        first_step=onset(loss, context, context.best + min(lost / 4, context.drop)),
        severity=Severity.CRITICAL if cur > ref else Severity.WARNING,
    )


def explodes(loss: Signal, context: RunContext) -> bool:
    """Whether the newest two losses need no third one."""
    ref = context.reference
    if len(loss) < 2 or not ref > 0:
        return False
    before, newest = float(loss.values[-2]) / ref, float(loss.values[-1]) / ref
    if context.is_coarse and context.evaluations:
        return min(before, newest) > EXPLODED
    return before > NEAR_ZERO and newest > EXPLODED * before


def bursts(loss: Signal, context: RunContext) -> bool:
    """Whether the newest losses jump about far above the reference; they may come to rest on ruins near it."""
    newest, ref = loss.values[-LEVEL:], context.reference
    if context.trivial is None or len(newest) < LEVEL or not largest(newest) > EXPLODED * ref:
        return False
    return int(np.count_nonzero(newest > EXPLODED * ref)) >= BURSTS and median(newest) > ref


def explosion(loss: Signal, context: RunContext) -> Evidence:
    at = int((loss.values > EXPLODED * context.reference).argmax())
    cur, before = float(loss.values[-1]), float(loss.values[max(at - 1, 0)])
    return Evidence(
        {
            "loss": cur,
            "best": context.best,
            "start": context.start,
            "ratio": cur / context.start,
            "rise": cur - before,
        },
        first_step=int(loss.steps[at]),
        severity=Severity.CRITICAL,
        is_certain=True,
    )


def onset(loss: Signal, context: RunContext, limit: float) -> int:
    """The last step of the newest 8 losses whose median was still below the limit."""
    for end in range(len(loss), 7, -4):
        if median(loss.values[end - 8 : end]) <= limit:
            return int(loss.steps[end - 1])
    return min(context.best_step, int(loss.steps[0]))


def summary(found: Evidence, context: RunContext) -> str:
    against = f"{found['ratio']:.1f}x its start {found['start']:.3g}"
    if not found["ratio"] > 1:
        against = f"having left its best {found['best']:.3g}"
    return f"loss {found['loss']:.3g} at step {context.step}, {against}, up since step {found.first_step}"


def action(found: Evidence, context: RunContext) -> str:
    reload = f"reload {context.checkpoint_before(found.first_step)}"
    if context.lr is None:
        return f"Lower the learning rate to {LR_FACTOR:g} of its value and {reload}"
    return f"Lower the learning rate from {context.lr:.3g} to {rounded(LR_FACTOR * context.lr)} and {reload}"


def offers(_found: Evidence, _context: RunContext) -> tuple[Action, ...]:
    return Action("lr", {"factor": LR_FACTOR}), Action("pause")


RULE = Rule(
    name="divergence",
    signals=("loss",),
    severity=Severity.CRITICAL,
    summary=summary,
    action=action,
    offers=offers,
    check=check,
    clock=Clock.STEPS,
    warm_up=16,
    quiet=TREND,
    symptom_of=(*STRUCTURE, "non-finite", "dead-units"),
)
