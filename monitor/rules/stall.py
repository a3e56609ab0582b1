r"""The loss has stopped falling.

Signals       loss_trail: the whole run's loss in at most 512 block medians
Formula       over the newest max(400 steps, 15 % of the run), in 20 to 32 block means (of coarse rows max(20 of
              them, 15 %)): z = Mann-Kendall;
              gain = -Theil-Sen slope times the length, over D;  se = its standard error
Fires         z > -1.6, gain < 1 % and gain + 2 se < 2 %; the update ratio above 1e-5 or unknown
Evidence      gain, z, steps: the length looked at; level
Action        Lower the learning rate to a third if the steps are too large, raise it if they are tiny.
Quiet on      slow but steady progress (z), noise that would hide it, warm-up, a learning rate near its end (below
              5 % of the peak), several optimizers
False alarms  0 of 145 healthy small networks (177,095 steps) and of 53 published healthy curves; notices in 15 of
              those: a plateau is also how a good run ends. A notice if the second half of the run brought nothing and
              the level is above 0.15 of the start; a warning only with headroom: a level above 0.3 of the trivial
              loss, and a training accuracy below 0.6 where there is one
Source        Mann 1945, doi:10.2307/1907187; Sen 1968, doi:10.1080/01621459.1968.10480934; 1 % and 15 % are chosen

>>> flat = Signal.of([2.3 - i / 40 if i < 40 else 1.3 for i in range(100)])
>>> check(flat, RunContext(points=1600, start=2.3, best=1.3, level=1.3))["steps"]
24
"""

from __future__ import annotations

import math

from monitor.model import Action, Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, TREND, Clock, Evidence, Gate, Rule, Signal, rounded
from monitor.rules.statistics import block_means, difference_noise, mann_kendall_z, theil_sen

#: The fewest training steps in which no progress is a finding, and the share of the run.
STEPS, SHARE = 400, 0.15
MIN_BLOCKS, MAX_BLOCKS = 20, 32
#: Below this update ratio the weights hardly move: that is the rule "slow", not a plateau.
MOVING = 1e-5


def check(loss_trail: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    if len(loss_trail) < MIN_BLOCKS or context.lr_share < 0.05 or not context.drop > 0:
        return None
    if context.update_ratio is not None and context.update_ratio < MOVING:
        return None
    per_block = context.points / len(loss_trail)
    fewest = MIN_BLOCKS if context.is_coarse else STEPS
    length = max(MIN_BLOCKS, round(max(fewest, SHARE * context.points) / per_block))
    if length > len(loss_trail):
        return None
    means = block_means(loss_trail.values[-length:], min(length, MAX_BLOCKS))
    half = means.size // 2
    if float(means[:half].mean() - means[half:].mean()) > 0.02 / level * context.drop:  # cheap: it plainly falls
        return None
    if not (z := mann_kendall_z(means)) > -1.6 / level:
        return None
    gain = -theil_sen(means) * means.size / context.drop
    gain_se = difference_noise(means) * math.sqrt(12 / means.size) / context.drop
    # Noise that hides 2 % of the gain hides progress, too: then nothing can be said.
    if not (gain < 0.01 / level and gain + 2 * gain_se < 0.02 / level):
        return None
    steps = int(loss_trail.steps[-1] - loss_trail.steps[-length])
    is_early = context.level > 0.15 * context.start and rests_for_half(loss_trail, context)
    severity = Severity.NOTICE if is_early else Severity.INFO
    return Evidence(
        {"gain": gain, "z": z, "steps": steps, "level": context.level},
        first_step=int(loss_trail.steps[-length]),
        severity=Severity.WARNING if has_headroom(context) else severity,
    )


def rests_for_half(loss_trail: Signal, context: RunContext) -> bool:
    """Whether the second half of the run brought no more than the newest part: it has stopped early."""
    quarters = block_means(loss_trail.values[len(loss_trail) // 2 :], 4)
    return float(quarters[0] - quarters[-1]) < 0.01 * context.drop


def has_headroom(context: RunContext) -> bool:
    """Whether much is left to learn, as far as that can be known."""
    if context.trivial is None or not context.level > 0.3 * context.trivial:
        return False
    return context.accuracy is None or context.accuracy < 0.6


def action(found: Evidence, context: RunContext) -> str:
    if context.lr is None:
        return "Lower the learning rate to 0.3 of its value; if that does not help, enlarge the model"
    if _hardly_moves(context):
        return f"Raise the learning rate from {context.lr:.3g} to {rounded(3 * context.lr)}: the weights hardly move"
    return f"Lower the learning rate from {context.lr:.3g} to {rounded(0.3 * context.lr)}"


def offers(_found: Evidence, context: RunContext) -> tuple[Action, ...]:
    return Action("lr", {"factor": 3.0 if _hardly_moves(context) else 0.3}), Action("checkpoint")


def _hardly_moves(context: RunContext) -> bool:
    return context.update_ratio is not None and context.update_ratio < 1e-4


RULE = Rule(
    name="stall",
    signals=("loss_trail",),
    severity=Severity.INFO,
    summary="loss has stood at {level:.3g} for {steps:.0f} steps, without 1 % of its earlier gain",
    action=action,
    offers=offers,
    check=check,
    clock=Clock.STEPS,
    window=512,
    every=64,
    hold=3,
    warm_up=1000,
    quiet=TREND | Gate.WARM_UP,
    symptom_of=(
        *STRUCTURE,
        "non-finite",
        "lr-collapse",
        "dead-units",
        "saturated-units",
        "vanishing-gradient",
        "divergence",
        "oscillation",
        "aggressive-clipping",
        "slow",
        "never-learns",
        "class-collapse",
        "overfitting",
    ),
)
