"""The shape of a rule: what it looks at, when, and what it says. The rules themselves have no state.

A rule is a function ``check(*signals, context, level=1.0) -> Evidence | None``, called with one :class:`Signal` for
each name in ``Rule.signals``. Time belongs to the engine: when a rule is called, how often it must hold in a row,
when it is quiet, and which other rule it is a symptom of are fields of :class:`Rule`, never code in ``check``.

``level`` is 1.0 to open an alert and 0.6 to keep one open: a rule multiplies its thresholds by it, so that an alert
does not flicker around a limit.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from monitor.model import Action, Floats, Severity, Steps
from monitor.rules.context import RunContext

#: The share of its thresholds at which an open alert stays open.
STAY_LEVEL: Final = 0.6


@dataclass(slots=True, eq=False)  # not frozen: a look of the rules makes 15, and that would take twice as long
class Signal:
    """The newest values of one series with their steps, oldest first.

    ``values`` is float64[n]; for a series over layers or classes float64[n, layers], NaN where one has no value.
    """

    steps: Steps
    values: Floats

    @classmethod
    def of(cls, values: Iterable[float] | Floats, first_step: int = 1) -> Signal:
        """A signal at consecutive steps."""
        array = np.asarray(values, np.float64)
        return cls(np.arange(first_step, first_step + len(array)), array)

    def __len__(self) -> int:
        return len(self.values)

    def finite(self) -> Signal:
        """The points of a series that are finite."""
        known = np.isfinite(self.values)
        return self if known.all() else Signal(self.steps[known], self.values[known])


class Clock(enum.Enum):
    """What makes a rule look again."""

    STEPS = "steps"  # a fixed grid of training steps
    EVALUATIONS = "evaluations"  # each validation value
    LAYERS = "layers"  # each set of per-layer statistics
    CLASSES = "classes"  # each set of class counts of the validation
    FACTS = "facts"  # each fact; one look that finds nothing more is enough for the end


class Gate(enum.Flag):
    """Situations in which a rule says nothing, because what it looks for is normal there."""

    NONE = 0
    ADVERSARIAL = enum.auto()  # several optimizers step: losses need not fall
    WARM_UP = enum.auto()  # before twice the end of the learning rate's warm-up
    LR_RISE = enum.auto()  # the schedule has just raised the learning rate by more than 2x
    SWITCH = enum.auto()  # a person marked a change, or the run was resumed


#: The situations in which a loss need not fall: all that a trend is judged in.
TREND: Final = Gate.ADVERSARIAL | Gate.LR_RISE | Gate.SWITCH

#: How a loop is built wrong, or fed wrong: what explains nearly all that goes wrong after it.
STRUCTURE: Final = (
    "wrong-sign",
    "missing-zero-grad",
    "frozen-parameters",
    "double-softmax",
    "wrong-mode",
    "unscaled-input",
    "unshuffled-data",
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a rule found: named numbers, where the trouble began, and who is at fault."""

    numbers: Mapping[str, float]
    first_step: int | None = None
    severity: Severity | None = None  # None: the rule's own
    where: tuple[str, ...] = ()
    confidence: float = 1.0
    is_certain: bool = False  # needs no second look

    def __getitem__(self, name: str) -> float:
        return self.numbers[name]


Offers = Callable[[Evidence, RunContext], tuple[Action, ...]]


def no_offers(_found: Evidence, _context: RunContext) -> tuple[Action, ...]:
    """Of a rule whose action is not for a command: labels must be looked at, a model be changed."""
    return ()


def stop_only(_found: Evidence, _context: RunContext) -> tuple[Action, ...]:
    """Of a rule whose action is for the script: what the run does until then is lost."""
    return (Action("stop"),)


#: A format string over the evidence's numbers and ``where``, or a function where a number must be chosen.
Text = str | Callable[[Evidence, RunContext], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of the catalogue. Counts are in points of the rule's clock."""

    name: str
    signals: tuple[str, ...]
    severity: Severity
    summary: Text
    action: Text
    offers: Offers = no_offers  # what of the action a command can do, the first thing to try first
    check: Callable[..., Evidence | None]
    clock: Clock = Clock.STEPS
    window: int = 256  # the most points of a signal that it is given
    every: int = 8  # training steps between two looks, a multiple of the grid; only with Clock.STEPS
    hold: int = 3  # looks in a row that must agree before it is said
    warm_up: int = 0  # training steps before the first look
    quiet: Gate = Gate.NONE
    symptom_of: tuple[str, ...] = field(default=())  # rules that explain this one when they began earlier
    raw: bool = False  # whether it is given NaN and infinities; others see the finite values only


def text_of(text: Text, evidence: Evidence, context: RunContext) -> str:
    """The sentence that a person reads."""
    if callable(text):
        return text(evidence, context)
    return text.format(**evidence.numbers, where=listed(evidence.where))


def listed(names: tuple[str, ...], most: int = 3) -> str:
    """The names in a row, the first few of them if there are many.

    >>> listed(("conv1", "conv2")), listed(tuple("abcdef"))
    ('conv1, conv2', 'a, b, c and 3 more')
    """
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def rounded(value: float) -> str:
    """A number for an action: one significant digit (two if that begins with 1), as a person would type it.

    >>> rounded(0.0312), rounded(0.149), rounded(0.00003), rounded(22.0)
    ('0.03', '0.15', '3e-05', '20')
    """
    if not np.isfinite(value) or value == 0.0:
        return f"{value:g}"
    digits = 2 if f"{abs(value):.1e}".startswith("1.") else 1
    return f"{float(f'{value:.{digits - 1}e}'):g}"
