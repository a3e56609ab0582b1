"""Learning rates held elsewhere than their schedule has them, without the schedule noticing.

While a step runs, ``group["lr"]`` is what the step shall use; before and after it is the schedule's own object. So a
scheduler goes on from its own values, and a state dict has them too. There is no hook while nothing is in force,
except the owner's call of :meth:`Rates.restore` when a step is over.
"""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from probe.collectors.learning_rate import group_names
from probe.handles import step_hook
from probe.host import Number, number

_log = logging.getLogger("probe")

Rate = float | Tensor
Group = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """``factor`` times what the schedule says, or ``pin`` whatever it says; one of the two is given."""

    factor: float | None = None
    pin: float | None = None

    @property
    def is_in_force(self) -> bool:
        return self.factor != 1.0

    def rate(self, schedule: Rate) -> Rate:
        """The rate to use, of the same kind as the schedule's. A tensor is a new one: groups may share theirs."""
        if self.factor is not None:
            return schedule * self.factor
        assert self.pin is not None
        return torch.full_like(schedule, self.pin) if isinstance(schedule, Tensor) else self.pin

    def __str__(self) -> str:
        return f"x{self.factor:g}" if self.factor is not None else f"pinned to {self.pin:g}"


#: What is in force by group; ``None`` stands for every group that is not named itself.
Settings = Mapping[str | None, Setting]


class Rates:
    """The learning rates of one training's optimizers.

    ``effective`` maps the name of a group to the rate that its last step used, if that was not the schedule's. A step
    that raised leaves its rate scaled; the next step and :meth:`close` put it right, unless it was set since.
    """

    def __init__(self, optimizers: Mapping[str, Optimizer]) -> None:
        self.effective: dict[str, Number] = {}
        #: Whether :meth:`restore` has anything to do.
        self.is_in_use = False
        self._optimizers = dict(optimizers)
        self._prefixes = {optimizer: f"{key}/" if key else "" for key, optimizer in optimizers.items()}
        self._settings: dict[str | None, Setting] = {}
        self._held: dict[Optimizer, list[tuple[Group, Rate, Rate]]] = {}  # group, the schedule's rate, the one put
        self._used: dict[Optimizer, list[str]] = {}  # the names in ``effective``
        self._handles: list[RemovableHandle] = []
        for optimizer in optimizers.values():
            _owners[optimizer] = self

    @property
    def settings(self) -> dict[str | None, Setting]:
        return dict(self._settings)

    def groups(self) -> dict[str, Group]:
        """The parameter groups by their names, as the optimizers have them now."""
        return {name: group for name, group, _ in group_names(self._optimizers)}

    def change(self, group: str | None, setting: Setting) -> None:
        """Hold one group, or all, from the next step on."""
        self.replace({**self._settings, group: setting} if group is not None else {None: setting})

    def replace(self, settings: Settings) -> None:
        """Put exactly these in force."""
        self._settings = dict(settings)
        is_in_force = any(setting.is_in_force for setting in self._settings.values())
        if is_in_force and not self._handles:
            hook = step_hook(self._scale)
            self._handles = [optimizer.register_step_pre_hook(hook) for optimizer in self._optimizers.values()]
        elif not is_in_force:
            self._remove_hooks()

    def restore(self, optimizer: Optimizer) -> None:
        """The step is over: the groups get the schedule's own rates back."""
        held = self._held.pop(optimizer, None)
        if held is not None:
            for group, schedule, rate in held:
                if group["lr"] is rate:
                    group["lr"] = schedule
        elif self._used:  # a step that nothing held, after one that something did
            for name in self._used.pop(optimizer, ()):
                self.effective.pop(name, None)
        self.is_in_use = bool(self._held or self._used)

    def close(self) -> None:
        self._remove_hooks()
        for optimizer in self._optimizers.values():
            self.restore(optimizer)
            if _owners.get(optimizer) is self:
                del _owners[optimizer]

    @contextlib.contextmanager
    def as_scheduled(self) -> Iterator[None]:
        """The schedule's rates in all groups, also in the middle of a step (a closure's forward pass)."""
        held = [each for found in self._held.values() for each in found]
        for group, schedule, _ in held:
            group["lr"] = schedule
        try:
            yield
        finally:
            for group, _, rate in held:
                group["lr"] = rate

    def report(self, group: str | None = None) -> dict[str, dict[str, float]]:
        """By name: what the schedule says, what holds the rate elsewhere, and what the next step uses."""
        with self.as_scheduled():
            rates = {name: float(found["lr"]) for name, found in self.groups().items() if group in (None, name)}
        report = {}
        for name, schedule in rates.items():
            setting = self._setting(name)
            report[name] = {"schedule": schedule, "effective": schedule}
            if setting is not None:
                held = {"factor": setting.factor, "pin": setting.pin}
                report[name] |= {key: value for key, value in held.items() if value is not None}
                report[name]["effective"] = float(setting.rate(schedule))
        return report

    def _setting(self, name: str) -> Setting | None:
        setting = self._settings.get(name) or self._settings.get(None)
        return setting if setting is not None and setting.is_in_force else None

    def _scale(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        self.restore(optimizer)  # a step that raised has not come to its post-hook
        self.is_in_use = True
        held = self._held[optimizer] = []
        used = self._used[optimizer] = []
        for index, group in enumerate(optimizer.param_groups):
            name = f"{self._prefixes[optimizer]}{group.get('name', index)}"
            setting = self._setting(name)
            if setting is not None:
                schedule = group["lr"]
                rate = group["lr"] = setting.rate(schedule)
                self.effective[name] = number(rate) if isinstance(rate, Tensor) else float(rate)
                held.append((group, schedule, rate))
                used.append(name)

    def _remove_hooks(self) -> None:
        while self._handles:
            self._handles.pop().remove()


#: Whose rates are whose, and what a loaded checkpoint wants in force on an optimizer that has no probe yet.
_owners: weakref.WeakKeyDictionary[Optimizer, Rates] = weakref.WeakKeyDictionary()
_wanted: weakref.WeakKeyDictionary[Optimizer, Settings] = weakref.WeakKeyDictionary()


def in_force(optimizer: Optimizer) -> Settings:
    """What holds its rates elsewhere than their schedule has them."""
    rates = _owners.get(optimizer)
    return {} if rates is None else {group: each for group, each in rates.settings.items() if each.is_in_force}


def describe(settings: Settings) -> str:
    return ", ".join(
        f"{'all groups' if group is None else f'group {group}'} {each}" for group, each in settings.items()
    )


def want(optimizer: Optimizer, settings: Settings) -> None:
    """Put these in force on the probe of this optimizer, now or as soon as it is attached."""
    said = describe(settings)
    _wanted.pop(optimizer, None)
    if (rates := _owners.get(optimizer)) is not None:
        rates.replace(settings)
        if settings:
            _log.warning("Bedside holds the learning rate as it did when this checkpoint was written: %s.", said)
    elif settings:
        _wanted[optimizer] = settings
        _log.warning(
            "Bedside held the learning rate when this checkpoint was written: %s. It does so again once probe.attach "
            "is called, and not without it.",
            said,
        )


def wanted(optimizer: Optimizer) -> Settings:
    """What a checkpoint wants in force here; asked once, when the probe is attached."""
    return _wanted.pop(optimizer, {})
