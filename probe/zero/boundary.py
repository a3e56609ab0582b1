"""Something done in the training thread, right at the end of an optimizer step, from whatever thread it is asked for.

Hooks cannot be put on or taken off from another thread: torch walks through their dictionaries, and one that changes
meanwhile raises in the training. So all that is done from outside is to set one attribute of the class ``Optimizer``:
``_optimizer_step_code``, which torch calls between the step and its post-hooks, for profilers. What is called there
registers a post-hook for all optimizers. It comes after an optimizer's own, and in it nobody walks through the
dictionaries of that optimizer any more. The next step takes off that hook, and the attribute.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import torch.optim.optimizer as torch_optimizer
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from probe.handles import generation, step_hook, uncompiled

_ATTRIBUTE = "_optimizer_step_code"


class StepEnd:
    """Calls ``body(optimizer)`` once, at the end of the next step of an optimizer that is ``meant``."""

    def __init__(self, meant: Callable[[Optimizer], bool], body: Callable[[Optimizer], None]) -> None:
        self._meant, self._body = meant, body
        self._generation = generation()
        self._handle: RemovableHandle | None = None
        self.is_due = True

    def wait(self) -> None:
        """From now on. In any thread."""
        _seam.add(self)

    def cancel(self) -> bool:
        """Wait no longer; False if it has happened already. In any thread."""
        was_due, self.is_due = self.is_due, False
        _seam.tidy()
        return was_due

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left: neither to be done nor to be taken off."""
        return not self.is_due and self._handle is None

    def stepped(self, optimizer: Optimizer) -> None:
        """In the training thread, between a step and its post-hooks."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
        if self.is_due and self._generation == generation() and self._meant(optimizer):
            self._handle = torch_optimizer.register_optimizer_step_post_hook(step_hook(self._after_step))

    def _after_step(self, optimizer: Optimizer, *_: Any) -> None:
        if self.is_due and self._meant(optimizer):
            self.is_due = False
            self._body(optimizer)


class _Seam:
    """The attribute of ``Optimizer``, set while somebody waits for the end of a step."""

    def __init__(self) -> None:
        self._ends: list[StepEnd] = []
        self._lock = threading.RLock()
        self._original: Any = None
        self._replacement: Any = None

    def add(self, end: StepEnd) -> None:
        with self._lock:
            self._ends.append(end)
            if self._replacement is None:
                self._original = Optimizer.__dict__[_ATTRIBUTE]
                self._replacement = uncompiled(self._function(self._original))
                setattr(Optimizer, _ATTRIBUTE, self._replacement)

    def tidy(self) -> None:
        """Put the attribute back when nobody waits, unless somebody has put another in front of it."""
        with self._lock:
            self._ends = [end for end in self._ends if not end.is_over]
            if not self._ends and self._replacement is not None:
                if Optimizer.__dict__[_ATTRIBUTE] is self._replacement:
                    setattr(Optimizer, _ATTRIBUTE, self._original)
                self._replacement = None

    def _function(self, original: Callable[[Optimizer], None]) -> Callable[[Optimizer], None]:
        def _optimizer_step_code(optimizer: Optimizer) -> None:
            original(optimizer)
            for end in self._ends:
                end.stepped(optimizer)
            self.tidy()

        return _optimizer_step_code


_seam = _Seam()


def is_stepping() -> bool:
    """Whether any thread is inside an optimizer's step right now."""
    for top in list(sys._current_frames().values()):
        frame: Any = top
        while frame is not None:
            if frame.f_code.co_name == "wrapper" and frame.f_globals.get("__name__") == torch_optimizer.__name__:
                return True
            frame = frame.f_back
    return False
