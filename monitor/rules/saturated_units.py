r"""Most units of a hidden layer stand at the limits of their tanh or sigmoid, where the slope is nothing.

Signals       saturated_frac: share of units of a layer that were at their limits in 95 % of the samples, the newest
              probes
Formula       low = the smallest share of a layer in 5 probes in a row
Fires         low > 0.5 in a layer that is not the last; a notice once the loss is below 0.3 of the trivial one (of
              its start if that is unknown): the run does with them
Evidence      saturated_frac: low of the worst layer; layers: how many are beyond the limit; probes
Action        Normalise the inputs, initialise with a smaller gain, or put a normalisation before the nonlinearity.
Quiet on      the gates of recurrent cells, which are no modules; the last layer, whose output is to be 0 or 1; fewer
              than 5 probes; several optimizers
False alarms  0 of 244 healthy small networks (387,600 steps) in the pilot
Source        Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks"; the
              limits 0.97 and 0.03 to 0.97: Karpathy, makemore part 3; 0.5 and 5 probes are chosen

>>> context = RunContext(start=2.3, level=2.2, layers=("fc1", "fc2", "head"))
>>> found = check(Signal.of([[0.1, 0.9, np.nan]] * 5), context)
>>> found["saturated_frac"], found.where
(0.9, ('fc2',))
"""

from __future__ import annotations

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, Clock, Evidence, Gate, Rule, Signal, listed, stop_only

PROBES = 5
SHARE = 0.5


def check(saturated_frac: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    if len(saturated_frac) < PROBES:
        return None
    # A layer without a value in one of the probes compares false, and stays out.
    low = saturated_frac.values[-PROBES:, :-1].min(axis=0)
    beyond = low > SHARE * level
    if not beyond.any():
        return None
    return Evidence(
        {"saturated_frac": float(low[beyond].max()), "layers": int(beyond.sum()), "probes": PROBES},
        first_step=int(saturated_frac.steps[-PROBES]),
        severity=Severity.WARNING if context.level > 0.3 * context.base else Severity.NOTICE,
        where=tuple(name for name, is_beyond in zip(context.layers, beyond, strict=False) if is_beyond),
    )


def summary(found: Evidence, context: RunContext) -> str:
    share, names = found["saturated_frac"], listed(found.where)
    return f"{share:.0%} of the units of {names} stand at their limits since step {found.first_step}"


def action(found: Evidence, context: RunContext) -> str:
    names = listed(found.where)
    return f"Normalise the inputs, initialise {names} with a smaller gain, or normalise what comes out of them"


RULE = Rule(
    name="saturated-units",
    signals=("saturated_frac",),
    severity=Severity.WARNING,
    summary=summary,
    action=action,
    offers=stop_only,
    check=check,
    clock=Clock.LAYERS,
    window=8,
    hold=1,
    quiet=Gate.ADVERSARIAL,
    symptom_of=(*STRUCTURE, "non-finite", "divergence"),
)
