"""The fence between the probe's own code and the training: what it costs, and what went wrong in it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

_log = logging.getLogger("probe")
_T = TypeVar("_T")


class Guard:
    """Runs the probe's code so that a fault in it costs a line in the log and never a step.

    ``cost_s`` is the wall time spent inside :meth:`timed`, two clock reads a call: ``thread_time`` would be truer
    and costs a system call each. ``faults`` maps the name of what was switched off to the error that did it.
    """

    __slots__ = ("_rests", "cost_s", "faults")

    def __init__(self) -> None:
        self.cost_s = 0.0
        self.faults: dict[str, str] = {}
        self._rests: dict[str, Callable[[], object]] = {}

    def rests_with(self, name: str, rest: Callable[[], object]) -> None:
        """Call ``rest`` as soon as ``name`` is switched off: it takes off what that has put on."""
        self._rests[name] = rest

    def timed(self, name: str, body: Callable[..., _T], *args: object) -> _T | None:
        """``body(*args)`` on the probe's account, and ``None`` once ``name`` is switched off. Does not nest."""
        if name in self.faults:
            return None
        begin = perf_counter()
        try:
            return body(*args)
        except Exception as error:  # noqa: BLE001  the probe may be wrong in any way; training goes on
            self._fault(name, error)
            return None
        finally:
            self.cost_s += perf_counter() - begin

    def attempt(self, name: str, body: Callable[..., _T], *args: object) -> _T | None:
        """The same without the clock, for one part inside something timed."""
        if name in self.faults:
            return None
        try:
            return body(*args)
        except Exception as error:  # noqa: BLE001  a collector may raise anything; training goes on
            self._fault(name, error)
            return None

    def clear_up(self, name: str, body: Callable[[], object]) -> None:
        """``body()``, also where ``name`` is switched off: what it has put on must not stay."""
        try:
            body()
        except Exception as error:  # noqa: BLE001  a collector may raise anything; training goes on
            told = f"{type(error).__name__}: {error}"
            self.faults.setdefault(name, f"{name}: {told}")
            _log.warning("Bedside could not clear up after its %s; training goes on. %s", name, told)

    def _fault(self, name: str, error: Exception) -> None:
        told = f"{type(error).__name__}: {error}"
        self.faults[name] = f"{name}: {told}"
        _log.warning("Bedside switched its %s off; training goes on. %s", name, told)
        if (rest := self._rests.get(name)) is not None:
            self.clear_up(name, rest)
