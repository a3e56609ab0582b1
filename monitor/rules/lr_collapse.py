r"""The learning rate has come down to nothing long before the end of the run, and nothing moves any more.

Signals       lr: the largest learning rate, and its past; the update ratios
Formula       low = training steps for which the learning rate has been below 0.9e-3 of its peak;  u = the largest of
              the layers' median update ratios in the newest 5 probes;  base = the trivial loss, or the start if that
              is unknown
Fires         low > max(50, a tenth of the steps so far) and u < 3e-6: a notice; a warning where the loss is above
              0.3 base and the training accuracy, where there is one, is below 0.9
Evidence      lr; peak; steps: low; update_ratio: u; loss
Action        Call the scheduler once an epoch, not at each step, or give it more steps; then raise the rate again.
Quiet on      the end of a cosine or of a linear decay, which is a few percent of the run; three drops to a tenth;
              warm restarts, which come back. A network that has learned its task may be done: a notice
False alarms  0 of 244 healthy small networks (387,600 steps) in the pilot
Source        a share of the run, so that a planned end is none: a cosine is below 1e-3 for its last 2 %; chosen

>>> context = RunContext(
...     points=1000, start=2.3, level=2.0, lr=1e-9, lr_peak=0.1, lr_low_points=400, update_ratio=1e-8
... )
>>> check(Signal.of([1e-9]), context)["steps"]
400
"""

from __future__ import annotations

from monitor.model import Action, Severity
from monitor.rules.context import RunContext
from monitor.rules.rule import STRUCTURE, Clock, Evidence, Gate, Rule, Signal

STEPS, SHARE = 50, 0.1
STILL = 3e-6
#: The most that a command raises the learning rate by.
MAX_COMMAND = 100.0


def check(lr: Signal, context: RunContext, *, level: float = 1.0) -> Evidence | None:
    if context.lr is None or context.lr_peak is None or not len(lr):
        return None
    if not context.lr_low_points > level * max(STEPS, SHARE * context.points):
        return None
    if context.update_ratio is None or not context.update_ratio < STILL / level:
        return None
    has_learned = context.level < 0.3 * context.base or (context.accuracy is not None and context.accuracy > 0.9)
    numbers = {
        "lr": context.lr,
        "peak": context.lr_peak,
        "steps": context.lr_low_points,
        "update_ratio": context.update_ratio,
        "loss": context.level,
    }
    return Evidence(
        numbers,
        first_step=max(1, context.step - context.lr_low_points),
        severity=Severity.NOTICE if has_learned else Severity.WARNING,
    )


def summary(found: Evidence, context: RunContext) -> str:
    return (
        f"the learning rate fell from {found['peak']:.3g} to {found['lr']:.1g} by step {found.first_step}; "
        f"nothing has moved since, and the loss is {found['loss']:.3g}"
    )


def action(found: Evidence, context: RunContext) -> str:
    name = context.facts.get("scheduler") or "the scheduler"
    if context.facts.get("scheduler_steps_per") == "step":
        return f"Call {name} once an epoch: it is stepped with each batch; or give it the number of batches to span"
    longer = f"ive {name} more steps, or a floor such as {found['peak'] / 100:.1g}, and set the learning rate back"
    return f"Stop, if this loss will do; else g{longer}" if found.severity is Severity.NOTICE else f"G{longer}"


def offers(found: Evidence, _context: RunContext) -> tuple[Action, ...]:
    return Action("lr", {"pin": float(f"{found['peak']:.3g}")}), Action("checkpoint")


RULE = Rule(
    name="lr-collapse",
    signals=("lr",),
    severity=Severity.WARNING,
    summary=summary,
    action=action,
    offers=offers,
    check=check,
    clock=Clock.STEPS,
    window=8,
    every=24,
    hold=3,
    warm_up=100,
    quiet=Gate.ADVERSARIAL | Gate.SWITCH,
    symptom_of=(*STRUCTURE, "non-finite", "divergence"),
)
