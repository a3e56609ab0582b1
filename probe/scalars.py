"""Numbers of the person's own, by name or in a mapping: what ``run.log`` and ``run.validation`` are given."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from time import time
from typing import Any

from torch import Tensor

from probe.batch import Handed, drop_record, name_of
from probe.host import Number, number
from probe.records import StepRecord
from probe.watch import Watch

_log = logging.getLogger("probe")


class Scalars:
    """Hands numbers of any kind over with :meth:`take`, plain ones with the function that :meth:`quick` makes.

    What is no number is left out, with one line in the log for each name: the training goes on.
    """

    def __init__(self, watch: Watch, put: Callable[[Handed], None]) -> None:
        self._watch, self._put = watch, put
        self._refused: set[str] = set()
        self._is_dropped = False
        self._drop_quick: Callable[[], None] = lambda: None

    def quick(self, put: Callable[[Handed], None]) -> Callable[..., None]:
        """``run.log`` for plain numbers: a closure, at half the price of finding the way through objects."""
        steps, take = self._watch.steps, self.take

        def log(scalars: Mapping[str, Any] | None = None, /, **named: Any) -> None:
            try:
                row = named if scalars is None else {**scalars, **named}
                if type(sum(row.values(), 0.0)) is float:  # the quickest way to look at all of them
                    put((steps.step, time(), row, "user"))
                    return
            except Exception:  # noqa: BLE001, S110  what cannot be added is looked at one by one
                pass
            take("user", scalars, named)

        def drop() -> None:
            nonlocal put
            put = drop_record

        self._drop_quick = drop
        return log

    def drop(self) -> None:
        """From here on nothing is handed over: the probe is off, or this is a forked child."""
        self._is_dropped = True
        self._drop_quick()

    def take(self, area: str, scalars: Mapping[str, Any] | None, named: Mapping[str, Any]) -> None:
        """As ``AREA/NAME`` of the last completed step. Of a name in both that in ``named`` counts."""
        if self._is_dropped:
            return
        self._watch.unseen.validation |= area == "val"
        found: dict[str, Number] = {}
        for name, value in {**self._mapping(area, scalars), **named}.items():
            self._add(found, area, name, value)
        if found:
            self._put(StepRecord(self._watch.step, time(), found))

    def _mapping(self, area: str, given: Any) -> dict[str, Any]:
        try:
            return {} if given is None else {**given}  # also a row of a table, which has keys and is no Mapping
        except Exception:  # noqa: BLE001  whatever it is, the training goes on
            self._leave_out(f"what {area}/ was given", given, "Give NAME=... or a mapping of names to numbers.")
            return {}

    def _add(self, found: dict[str, Number], area: str, name: object, value: Any) -> None:
        key = f"{area}/?"
        try:
            key = f"{area}/{name_of(name)}"
            is_tensor = isinstance(value, Tensor) and value.numel() == 1
            found[key] = number(value.detach().clone()) if is_tensor else float(value)
        except Exception:  # noqa: BLE001  whatever it is, the training goes on
            self._leave_out(key, value, "Numbers and tensors of one element are taken.")

    def _leave_out(self, what: str, value: object, taken: str) -> None:
        if what not in self._refused:
            self._refused.add(what)
            _log.warning("Bedside left out %s: a %s. %s", what, type(value).__name__, taken)
