r"""The model is given numbers of a size that its first layer was not initialised for.

Signals       input_mean, input_std, input_std_ratio: of the batches of the first 10 steps; act_std: of every layer
Formula       medians over those steps: s = standard deviation of the inputs, m = |mean|, q = largest over smallest
              standard deviation of a feature;  first = act_std of the first layer
Fires         s > 20, or m > 5 s and m > 1.5, or q > 1000; a notice from s > 5 on, which becomes a warning where the
              loss starts above 3 ln K
Evidence      mean: m; std: s; std_ratio: q
Action        Standardise the inputs with the mean and deviation of the training data.
Quiet on      integers (token ids); images in 0..1 or standardised; single outliers and rare counts; a first layer
              that normalises (information only); a model that scales its inputs itself: first < s / 30
False alarms  0 of 244 healthy small networks (387,600 steps) in the pilot, with a limit of 20 on the largest value
              in place of that on s, which heavy-tailed features would cross
Source        initial gains are made for inputs of unit variance: He et al. 2015, arXiv:1502.01852; limits chosen

>>> mean, std, ratio = Signal.of([110.0] * 10), Signal.of([70.0] * 10), Signal.of([1.2] * 10)
>>> check(mean, std, ratio, Signal.of([[40.0, 9.0]]), RunContext(layers=("conv1", "head")))["std"]
70.0
"""

from __future__ import annotations

import math

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import Clock, Evidence, Rule, Signal, stop_only
from monitor.rules.statistics import median

LARGE_STD, STD = 20.0, 5.0
OFFSET, LEAST_OFFSET = 5.0, 1.5
STD_RATIO = 1000.0
#: The outputs of a first layer are no less than this share of its inputs, unless those are scaled before it.
PASSED_ON = 1 / 30
BAD_START = 3.0
NORMALISING = ("BatchNorm", "LayerNorm", "InstanceNorm", "RMSNorm", "GroupNorm", "SyncBatchNorm", "Embedding")


def check(
    input_mean: Signal,
    input_std: Signal,
    input_std_ratio: Signal,
    act_std: Signal,
    context: RunContext,
    *,
    level: float = 1.0,
) -> Evidence | None:
    if not len(input_std):
        return None
    mean, std = abs(median(input_mean.values)), median(input_std.values)
    ratio = median(input_std_ratio.values) if len(input_std_ratio) else math.nan
    is_beyond = std > LARGE_STD * level or ratio > STD_RATIO * level
    is_beyond = is_beyond or (std > 0 and mean > level * max(OFFSET * std, LEAST_OFFSET))
    if not (is_beyond or std > STD * level) or is_scaled_inside(std, act_std):
        return None
    starts_badly = context.chance is not None and context.start > BAD_START * context.chance
    severity = Severity.WARNING if is_beyond or starts_badly else Severity.NOTICE
    if context.layer_kinds and context.layer_kinds[0].startswith(NORMALISING):
        severity = Severity.INFO
    numbers = {"mean": median(input_mean.values), "std": std, "std_ratio": ratio}
    return Evidence(numbers, first_step=int(input_std.steps[0]), severity=severity)


def is_scaled_inside(std: float, act_std: Signal) -> bool:
    """Whether the first layer puts out so little that its inputs must have been made smaller before it."""
    first = act_std.values[-1, 0] if act_std.values.size else math.nan
    return bool(first < PASSED_ON * std)


def summary(found: Evidence, _context: RunContext) -> str:
    said = f"the inputs have a mean of {found['mean']:.3g} and a standard deviation of {found['std']:.3g}"
    if found["std_ratio"] > STD_RATIO:
        said += f"; of one feature it is {found['std_ratio']:.2g}x that of another"
    return said


def action(found: Evidence, _context: RunContext) -> str:
    if found["std_ratio"] > STD_RATIO:
        return "Standardise each feature: subtract its mean over the training data and divide by its deviation"
    return f"Standardise the inputs, as (x - {found['mean']:.3g}) / {found['std']:.3g}, and start again"


RULE = Rule(
    name="unscaled-input",
    signals=("input_mean", "input_std", "input_std_ratio", "act_std"),
    severity=Severity.WARNING,
    summary=summary,
    action=action,
    offers=stop_only,
    check=check,
    clock=Clock.LAYERS,
    window=10,
    hold=1,
)
