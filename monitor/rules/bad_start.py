r"""The first loss is far above that of a network that holds all classes for equally likely.

Signals       training loss, while its first value is in the window
Formula       first = the loss of the first step;  chance = ln K for K classes
Fires         first > 3 chance, within the first 64 steps
Evidence      loss: first; chance; ratio: first / chance
Action        Standardise the inputs, and initialise the last layer with a tenth of its gain.
Quiet on      other losses than cross-entropy, sums over a batch, sums of several terms; class weights, which a mean
              divides out; a loss that has come below 1.8 chance
False alarms  0 of 244 healthy small networks (387,600 steps) in the pilot
Source        Karpathy, cs231n, neural-networks-3 (look for the correct loss at chance); the factor 3 is chosen

>>> check(Signal.of([40.0, 20.0, 9.0]), RunContext(points=3, chance=2.3, level=20.0))["loss"]
40.0
>>> check(Signal.of([2.4, 20.0, 90.0]), RunContext(points=3, chance=2.3, level=20.0)) is None
True
"""

from __future__ import annotations

from monitor.model import Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, Clock, Evidence, Gate, Rule, Signal, stop_only

#: Steps within which it is said; later it is no start.
START = 64
FACTOR = 3.0


def check(loss: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    if context.chance is None or context.is_sum or not len(loss):
        return None
    limit, first = FACTOR * context.chance, float(loss.values[0])
    if level < 1:  # it is over when the loss has come down
        first = context.start
        if not context.level > level * limit:
            return None
    elif context.points > START or not first > limit:
        return None
    return Evidence({"loss": first, "chance": context.chance, "ratio": first / context.chance}, first_step=1)


RULE = Rule(
    name="bad-start",
    signals=("loss",),
    severity=Severity.WARNING,
    summary="the first loss is {loss:.3g}, {ratio:.1f}x the {chance:.3g} of holding all classes for equally likely",
    action="Standardise the inputs, and initialise the last layer with a tenth of its gain",
    offers=stop_only,
    check=check,
    clock=Clock.STEPS,
    window=START,
    hold=1,
    quiet=Gate.ADVERSARIAL | Gate.SWITCH,
    symptom_of=(*STRUCTURE, "non-finite"),
)
