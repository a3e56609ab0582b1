r"""Training and validation both stay far from the task: the model, not the data, is what limits them.

Signals       loss_trail: the run's loss in block medians; val_loss, train_level: one value an evaluation
Formula       gain = -Theil-Sen slope times length of the newest max(400 steps, 15 % of the run), over D;
              base = trivial loss, or start if that is unknown;  v, t = the newest validation and training level
Fires         0.3 base < level < 0.97 base and gain < 2 %, or level > base / 2 and gain D < 0.15 base;
              |v - t| < 20 % of v, and the training accuracy, where there is one, is below 0.6
Evidence      level; base; val_loss: v; gain; accuracy where there is one
Action        Enlarge the model, lower the weight decay, or train with a higher learning rate.
Quiet on      a loss that still falls well, a gap to the validation (see overfitting), the first 500 steps, several
              optimizers; a run that has learned nothing at all (see never-learns)
False alarms  never above a notice: how far a model can come on these data is not known; info where the trivial loss
              is not known either
Source        Goodfellow et al. 2016, "Deep Learning", 5.2; the limits are chosen

>>> flat = Signal.of([2.3 - i / 40 if i < 40 else 1.3 for i in range(100)])
>>> context = RunContext(points=1600, start=2.3, best=1.3, level=1.3, trivial=2.3, accuracy=0.45)
>>> check(flat, Signal.of([1.32]), Signal.of([1.3]), context)["level"]
1.3
"""

from __future__ import annotations

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, TREND, Clock, Evidence, Gate, Rule, Signal
from monitor.rules.statistics import block_means, theil_sen

STEPS, SHARE = 400, 0.15
MIN_BLOCKS, MAX_BLOCKS = 20, 32


def check(
    loss_trail: Signal, val_loss: Signal, train_level: Signal, context: RunContext, *, level: float = 1.0
) -> Evidence | None:
    if len(loss_trail) < MIN_BLOCKS or not len(val_loss) or not len(train_level):
        return None
    base = context.base
    if not 0.3 * level * base < context.level < base * (1 - 0.03 * level):
        return None
    if context.accuracy is not None and context.accuracy >= 0.6 / level:
        return None
    v, t = float(val_loss.values[-1]), float(train_level.values[-1])
    if not abs(v - t) < 0.2 / level * abs(v):
        return None
    per_block = context.points / len(loss_trail)
    fewest = MIN_BLOCKS if context.is_coarse else STEPS
    length = max(MIN_BLOCKS, round(max(fewest, SHARE * context.points) / per_block))
    if length > len(loss_trail):
        return None
    means = block_means(loss_trail.values[-length:], min(length, MAX_BLOCKS))
    gain = -theil_sen(means) * means.size / context.drop
    is_far = context.level > level * base / 2 and gain * context.drop < 0.15 / level * base
    if not (gain < 0.02 / level or is_far):
        return None
    numbers = {"level": context.level, "base": base, "val_loss": v, "gain": gain}
    if context.accuracy is not None:
        numbers["accuracy"] = context.accuracy
    severity = Severity.INFO if context.trivial is None else Severity.NOTICE
    return Evidence(numbers, first_step=int(loss_trail.steps[-length]), severity=severity)


def summary(found: Evidence, context: RunContext) -> str:
    guess = "the start" if context.trivial is None else "guessing"
    return (
        f"training loss {found['level']:.3g} and validation loss {found['val_loss']:.3g} stay at "
        f"{found['level'] / found['base']:.0%} of the loss of {guess}, and hardly fall"
    )


RULE = Rule(
    name="underfitting",
    signals=("loss_trail", "val_loss", "train_level"),
    severity=Severity.NOTICE,
    summary=summary,
    action="Enlarge the model, lower the weight decay, or train with a higher learning rate",
    check=check,
    clock=Clock.STEPS,
    window=512,
    every=64,
    hold=3,
    warm_up=500,
    quiet=TREND | Gate.WARM_UP,
    symptom_of=(
        *STRUCTURE,
        "non-finite",
        "divergence",
        "lr-collapse",
        "dead-units",
        "saturated-units",
        "vanishing-gradient",
        "oscillation",
        "aggressive-clipping",
        "slow",
        "never-learns",
    ),
)
