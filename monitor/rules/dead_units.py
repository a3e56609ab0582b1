r"""Most units of a layer are zero for every sample: they get no gradient and will not come back by themselves.

Signals       dead_frac: share of units of a layer that were zero over a whole probed batch, the newest probes
Formula       low = the smallest share of a layer in 5 probes in a row
Fires         low > 0.8 in any layer; a notice while the loss is below half of the trivial one (of its start if that
              is unknown) and no layer is above 0.95: the run does without them
Evidence      dead_frac: low of the worst layer; layers: how many are beyond the limit; probes
Action        Lower the learning rate and start again with those layers re-initialised, or use LeakyReLU.
Quiet on      the share of raw zeros, of which half is normal behind a ReLU; fewer than 5 probes; layers without a
              rectifier, which have no such share
False alarms  0 of 145 healthy small networks (177,095 steps)
Source        Lu et al. 2019, arXiv:1903.06733 (dying ReLU); 0.8 and 5 probes are chosen

>>> found = check(Signal.of([[0.1, 0.9]] * 5), RunContext(layers=("conv1", "conv2")))
>>> found["dead_frac"], found.where
(0.9, ('conv2',))
"""

from __future__ import annotations

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, Clock, Evidence, Rule, Signal, listed, rounded, stop_only

PROBES = 5
SHARE, CRITICAL_SHARE = 0.8, 0.95
HALF = 0.5


def check(dead_frac: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    if len(dead_frac) < PROBES:
        return None
    # A layer without a value in one of the probes compares false, and stays out.
    low = dead_frac.values[-PROBES:].min(axis=0)
    beyond = low > SHARE * level
    if not beyond.any():
        return None
    worst = float(low[beyond].max())
    severity = Severity.NOTICE if context.level < HALF * context.base else Severity.WARNING
    steps = dead_frac.steps[-PROBES:]
    return Evidence(
        {"dead_frac": worst, "layers": int(beyond.sum()), "probes": PROBES},
        first_step=int(steps[0]),
        severity=Severity.CRITICAL if worst > CRITICAL_SHARE else severity,
        where=tuple(name for name, is_dead in zip(context.layers, beyond, strict=False) if is_dead),
    )


def summary(found: Evidence, context: RunContext) -> str:
    names = listed(found.where)
    return f"{found['dead_frac']:.0%} of the units of {names} are zero for every sample since step {found.first_step}"


def action(found: Evidence, context: RunContext) -> str:
    names = listed(found.where)
    if context.lr is None:
        return f"Re-initialise {names} and start again at a third of the learning rate, or use LeakyReLU there"
    lr = rounded(0.3 * context.lr_peak) if context.lr_peak else rounded(0.3 * context.lr)
    return (
        f"Re-initialise {names} with biases at 0 and start again at a learning rate of {lr}, or use LeakyReLU there"
    )


RULE = Rule(
    name="dead-units",
    signals=("dead_frac",),
    severity=Severity.WARNING,
    summary=summary,
    action=action,
    offers=stop_only,
    check=check,
    clock=Clock.LAYERS,
    window=8,
    hold=1,
    symptom_of=(*STRUCTURE, "non-finite", "divergence"),
)
