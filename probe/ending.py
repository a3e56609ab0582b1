"""How a training process ends, as far as it can know itself.

An exception that nobody catches comes through ``sys.excepthook``, the end of the interpreter through ``atexit``. A
``sys.exit(3)`` passes neither on: it is seen by the probe's context manager only, and otherwise the goodbye says
``finished`` with no exit code, for the recorder to correct with what the kernel tells. A signal or ``os._exit``
leaves no goodbye at all.
"""

from __future__ import annotations

import atexit
import sys
import traceback
from collections.abc import Callable
from time import time
from types import TracebackType
from typing import Any

from probe import wire
from probe.handles import generation


class Ending:
    """Calls ``close(goodbye)`` once, when the process ends while the probe is on."""

    def __init__(self, close: Callable[[wire.Goodbye], None], step: Callable[[], int]) -> None:
        self._close, self._step = close, step
        self._generation = generation()
        self._previous: Any = None
        self._hook: Any = None

    def watch(self) -> None:
        self._previous, self._hook = sys.excepthook, self._on_exception
        sys.excepthook = self._hook
        atexit.register(self._on_exit)

    def unwatch(self) -> None:
        """Leave the excepthook as it was, unless somebody has chained another onto it."""
        atexit.unregister(self._on_exit)
        if sys.excepthook is self._hook:
            sys.excepthook = self._previous
        self._hook = None

    def goodbye(self, error: BaseException | None) -> wire.Goodbye:
        """The goodbye for a body that ended, with this exception or without."""
        if isinstance(error, SystemExit):
            code = _exit_code(error)
            return wire.Goodbye(
                time_s=time(), reason="exit" if code else "finished", step=self._step(), exit_code=code
            )
        if error is None:
            return wire.Goodbye(time_s=time(), reason="finished", step=self._step())
        text = str(error)
        return wire.Goodbye(
            time_s=time(),
            reason="exception",
            step=self._step(),
            exit_code=130 if isinstance(error, KeyboardInterrupt) else 1,
            error=f"{type(error).__name__}: {text}" if text else type(error).__name__,
            traceback="".join(traceback.format_exception(type(error), error, error.__traceback__)),
        )

    def _on_exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self._previous(kind, error, trace)
        # At an interactive prompt the process goes on after an error.
        is_interactive = hasattr(sys, "ps1") or bool(sys.flags.interactive)
        if self._hook is not None and not is_interactive and self._generation == generation():
            self._close(self.goodbye(error))

    def _on_exit(self) -> None:
        if self._generation == generation():
            self._close(self.goodbye(None))


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    return error.code if isinstance(error.code, int) else 1  # a text is printed, and the code is 1
