r"""A loss or gradient is NaN or infinite: nothing is learned from here on.

Signals       training loss, gradient norm, validation loss, as recorded
Formula       isfinite(x) for the newest 8 losses and norms, and the newest validation loss
Fires         at the first one that is not finite; no debounce
Evidence      loss, grad_norm, val_loss: the newest value of each that is at fault; before: the last finite loss
Action        Reload a checkpoint from before that step; then lower the learning rate or repair the step's inputs.
Quiet on      a missing value, which is not a NaN
False alarms  none by construction; under AMP an infinite norm with a finite loss is the scaler at work: info
Source        IEEE 754; Keras TerminateOnNaN

>>> found = check(Signal.of([0.5, 0.4, np.nan]), Signal.of([]), Signal.of([]), RunContext())
>>> found.first_step, found["before"]
(3, 0.4)
"""

from __future__ import annotations

import math

import numpy as np

from monitor.model import Action, Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import Clock, Evidence, Rule, Signal, listed, rounded

#: How many of the newest values are looked at: those since the last look.
WINDOW = 8


def check(
    loss: Signal, grad_norm: Signal, val_loss: Signal, context: RunContext, *, level: float = 1.0
) -> Evidence | None:
    bad = {
        name: first
        for name, signal, newest in (
            ("loss", loss, WINDOW),
            ("val_loss", val_loss, 1),
            ("grad_norm", grad_norm, WINDOW),
        )
        if (first := first_bad(signal, newest)) is not None
    }
    if not bad:
        return None
    numbers = {name: value for name, (_, value) in bad.items()}
    numbers["before"] = last_finite(loss, context.level)
    expected = context.uses_amp and set(bad) == {"grad_norm"}
    return Evidence(
        numbers,
        first_step=min(step for step, _ in bad.values()),
        severity=Severity.INFO if expected else Severity.CRITICAL,
        where=context.bad_layers,
    )


def first_bad(signal: Signal, newest: int) -> tuple[int, float] | None:
    """Step and value of the oldest value that is not finite among the newest ones."""
    values = signal.values[-newest:]
    if not values.size or all(map(math.isfinite, values.tolist())):  # of so few, quicker than an array's
        return None
    first = int(np.argmin(np.isfinite(values)))
    return int(signal.steps[-newest:][first]), float(values[first])


def last_finite(signal: Signal, earlier: float) -> float:
    """The newest finite value of the window, or the level of those before it."""
    finite = signal.values[np.isfinite(signal.values)]
    return float(finite[-1]) if finite.size else earlier


def summary(found: Evidence, context: RunContext) -> str:
    name = next(name for name in ("loss", "val_loss", "grad_norm") if name in found.numbers)
    what = {"loss": "loss", "val_loss": "validation loss", "grad_norm": "gradient norm"}[name]
    value = "NaN" if math.isnan(found[name]) else "infinite"
    before = f"; the loss was {found['before']:.3g} before" if math.isfinite(found["before"]) else ""
    layers = f"; first in {listed(found.where, 1)}" if found.where else ""
    return f"{what} is {value} from step {found.first_step} on{before}{layers}"


def action(found: Evidence, context: RunContext) -> str:
    reload = f"reload {context.checkpoint_before(found.first_step)}"
    # A loss that stood near its best until then points to the data of that step, not to the step size.
    calm = found["before"] <= context.best + 0.5 * context.drop
    if calm or context.lr is None:
        where = f"the inputs of step {found.first_step}"
        return f"Check {where} for NaN, 0/0 and log(0); then {reload}"
    lr = f"from {context.lr:.3g} to {rounded(context.lr / 10)}"
    return f"Lower the learning rate {lr}, clip gradients at 1.0 and {reload}"


def offers(_found: Evidence, _context: RunContext) -> tuple[Action, ...]:
    # What is not finite already stays so: the checkpoint to go back to is an earlier one.
    return Action("stop", {"checkpoint": False}), Action("pause")


RULE = Rule(
    name="non-finite",
    signals=("loss", "grad_norm", "val_loss"),
    severity=Severity.CRITICAL,
    summary=summary,
    action=action,
    offers=offers,
    check=check,
    clock=Clock.STEPS,
    window=64,
    hold=1,
    raw=True,
    symptom_of=("divergence",),
)
