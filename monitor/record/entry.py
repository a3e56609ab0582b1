"""A recorder's own registry entry: written, and kept there for as long as the run is served.

The entry may be deleted, or not written because the disk was full; and those who cannot see this recorder's process,
on another machine that has the same home or outside of its container, know by its freshness that it is alive.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from monitor.record import registry

#: Between two looks whether the entry is there, and between two touches of it.
LOOK_S, TOUCH_S = 1.0, 20.0


class Entry:
    """``say`` what is to be known of the run, ``turn`` often, ``remove`` at the end."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._run: registry.LiveRun | None = None
        self._state: tuple[int, int] | None = None
        self._is_failing = False
        self._next_look_s = self._next_touch_s = 0.0

    def say(self, run: registry.LiveRun) -> None:
        """Where the run is served; again whenever that has changed."""
        self._run = run
        self._write(run)

    def turn(self, *, is_heard: bool) -> None:
        """Write it again if it is gone. Another living recorder's is replaced by the one that hears the training.

        Not that of a later part of the run: a rank may be left and entered again within the time that it was heard.
        """
        now = time.monotonic()
        run = self._run
        if run is None or now < self._next_look_s:
            return
        self._next_look_s = now + LOOK_S
        if not self._is_ours(run):
            there = registry.read_entry(self._path(run))
            if there is None or not there.is_served or (is_heard and there.started_s <= run.started_s):
                self._write(run)
        elif now >= self._next_touch_s:
            self._next_touch_s = now + TOUCH_S
            with contextlib.suppress(OSError):  # at the next look it is gone, or else it is tried again
                os.utime(self._path(run))
            self._state = self._looked(run)

    def remove(self) -> None:
        """Take it away, if it is this recorder's. Where that cannot be, the next reader sees that nobody is there."""
        if self._run is not None and self._is_ours(self._run):
            with contextlib.suppress(OSError):
                registry.unregister(self._run.run_id, self._run.rank)

    def _write(self, run: registry.LiveRun) -> None:
        now = time.monotonic()
        self._next_look_s, self._next_touch_s = now + LOOK_S, now + TOUCH_S
        try:
            registry.register(run)
        except OSError as error:
            self._state = None
            if run.file and not self._is_failing:  # without one, the notice about the run file has said it
                reason = error.strerror
                self._notify(f"'bedside' cannot find this run: {registry.home()} cannot be written ({reason}).")
            self._is_failing = True
        else:
            self._state = self._looked(run)
            self._is_failing = False

    def _is_ours(self, run: registry.LiveRun) -> bool:
        """Whether what was said lies there. It is read only if it is not as it was left."""
        state = self._looked(run)
        if state is not None and state == self._state:
            return True
        is_ours = registry.read_entry(self._path(run)) == run
        self._state = state if is_ours else None
        return is_ours

    def _looked(self, run: registry.LiveRun) -> tuple[int, int] | None:
        """What changes when somebody writes the entry."""
        try:
            status = self._path(run).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    @staticmethod
    def _path(run: registry.LiveRun) -> Path:
        return registry.entry_path(run.run_id, run.rank)
