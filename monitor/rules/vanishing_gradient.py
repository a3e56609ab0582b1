r"""The gradient dies out on its way back: the first layers get next to none of it and do not learn.

Signals       layer_grad_norm, update_ratio: of every layer, the newest probes
Formula       g = log10 of the median of 5 norms over sqrt(parameters), of the first and of the last layer that
              has gradients;  u = median of 5 update ratios of the first one
Fires         g(last) - g(first) > 3 and g(first) < -5, and either u < 1e-5, while the loss is above 0.3 of the
              trivial one (of its start if that is unknown), or the loss still above 0.9 of that
Evidence      first, last: rms gradients of those layers; decades: g(last) - g(first); update_ratio: u
Action        Use He initialisation and ReLU, residual connections or normalisation, or fewer layers.
Quiet on      small gradients that the optimizer makes up for (as Adam does) in a network that learns, frozen layers,
              which have none, a network that has learned its task, the first 100 steps and twice the warm-up
False alarms  0 of 244 healthy small networks (387,600 steps) in the pilot
Source        Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks";
              3 decades, 1e-5, 0.3 and 0.9 are chosen

>>> gradients = Signal.of(np.tile([1e-9, 1e-4, 1e-1], (5, 1)))
>>> still = Signal.of(np.tile([1e-8, 1e-4, 1e-2], (5, 1)))
>>> context = RunContext(start=2.3, level=2.3, layers=("fc1", "fc2", "fc3"), layer_sizes=(100, 100, 100))
>>> found = check(gradients, still, context)
>>> round(found["decades"], 1), found.where
(8.0, ('fc1',))
"""

from __future__ import annotations

import numpy as np

from monitor.model import Floats, Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, Clock, Evidence, Gate, Rule, Signal, listed, stop_only

PROBES = 5
DECADES, SMALL, STILL = 3.0, -5.0, -5.0
#: Down to this share of the loss of guessing the last layer's bias comes alone. Adam moves the others at random.
UNMOVED = 0.9
#: Underflow makes a vanished gradient exactly zero; the logarithm is taken of this instead.
TINY = 1e-45


def check(
    layer_grad_norm: Signal, update_ratio: Signal, context: RunContext, *, level: float = 1.0
) -> Evidence | None:
    if len(layer_grad_norm) < PROBES or len(update_ratio) < PROBES or not len(context.layer_sizes):
        return None
    base = context.base
    if not context.level > 0.3 * level * base:
        return None
    sizes = np.sqrt(np.maximum(context.layer_sizes, 1))
    norms = np.median(layer_grad_norm.values[-PROBES:], axis=0)
    with_gradient = np.flatnonzero(np.isfinite(norms))
    if with_gradient.size < 2 or norms.size != sizes.size:
        return None
    rms, ratio = norms / sizes, np.median(update_ratio.values[-PROBES:], axis=0)
    first, last = with_gradient[0], with_gradient[-1]
    decades = float(log10(rms[last]) - log10(rms[first]))
    if not (decades > level * DECADES and log10(rms[first]) < level * SMALL):
        return None
    is_unmoved = context.level > UNMOVED * base
    if not (is_unmoved or log10(ratio[first]) < level * STILL):
        return None
    starved = [i for i in with_gradient if log10(rms[i]) < SMALL and (is_unmoved or log10(ratio[i]) < STILL)]
    return Evidence(
        {
            "first": float(rms[first]),
            "last": float(rms[last]),
            "decades": decades,
            "update_ratio": float(ratio[first]),
        },
        first_step=int(layer_grad_norm.steps[-PROBES]),
        where=tuple(context.layers[i] for i in starved or [first]),
    )


def log10(x: Floats | float) -> Floats:
    return np.log10(np.maximum(x, TINY))


def summary(found: Evidence, _context: RunContext) -> str:
    fate = "hardly moved" if log10(found["update_ratio"]) < STILL else "learn nothing, and neither does the network"
    return (
        f"the gradient falls by {found['decades']:.1f} decades on its way back: {found['last']:.2g} in the last "
        f"layer, {found['first']:.2g} in the first; {listed(found.where)} {fate}"
    )


RULE = Rule(
    name="vanishing-gradient",
    signals=("layer_grad_norm", "update_ratio"),
    severity=Severity.WARNING,
    summary=summary,
    action="Use He initialisation with ReLU, residual connections, normalisation between the layers, or fewer layers",
    offers=stop_only,
    check=check,
    clock=Clock.LAYERS,
    window=8,
    hold=3,
    warm_up=100,
    quiet=Gate.ADVERSARIAL | Gate.SWITCH | Gate.WARM_UP,
    symptom_of=(*STRUCTURE, "non-finite", "divergence", "dead-units", "saturated-units"),
)
