"""``BEDSIDE_NOTIFY=CMD``: a command for each new alarm, from the recorder, whether anybody watches or not.

The command is a line for the shell. It finds the alarm as JSON on its standard input, and in its environment as a
sentence. One runs at a time, one that takes too long is ended, and what goes wrong is said once. Nothing here waits.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import IO, NamedTuple

import msgspec

from probe import wire

LIMIT_S = 10.0
#: Alarms that wait for the command before theirs to end.
MAX_WAITING = 16
_LINE = 500


class _Running(NamedTuple):
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    deadline: float


class Bell:
    """Runs ``command`` for each new alarm of a run; an empty one is none. ``notify`` is told what goes wrong."""

    def __init__(self, command: str, notify: Callable[[str], None], *, limit_s: float = LIMIT_S) -> None:
        self._command, self._notify, self._limit_s = command, notify, limit_s
        self._run: wire.Hello | None = None
        self._rung: set[tuple[int, int]] = set()
        self._waiting: deque[wire.Alert] = deque()
        self._running: _Running | None = None
        self._faults: set[str] = set()

    @property
    def is_idle(self) -> bool:
        return self._running is None and not self._waiting

    def begin(self, run: wire.Hello, told: Iterable[wire.Alert]) -> None:
        """Ring for that run, but not again for what an earlier recorder of it has ``told``. Rank 0 rings for all."""
        if self._command and not run.rank:
            self._run = run
        for alert in told:
            if alert.severity.is_alarm:
                self._rung.update((alert.id, count) for count in range(1, alert.count + 1))

    def ring(self, alert: wire.Alert) -> None:
        """For an alarm that is new, or that has come back after it was resolved.

        Also for one that is over already: a batch of a fast training may hold all of it.
        """
        is_alarm = alert.severity.is_alarm and not alert.muted
        if self._run is None or not is_alarm or (alert.id, alert.count) in self._rung:
            return
        self._rung.add((alert.id, alert.count))
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(alert)
        else:
            self._fault(f"was not run for each alarm: {MAX_WAITING} were waiting for it")

    def turn(self) -> None:
        """See whether the command has ended, and run it for the next alarm."""
        if self._running is not None:
            self._look(self._running)
        if self._running is None and self._waiting and self._run is not None:
            self._start(self._run, self._waiting.popleft())

    def _start(self, run: wire.Hello, alert: wire.Alert) -> None:
        try:
            said = tempfile.TemporaryFile()  # noqa: SIM115  closed when the command has ended
            with tempfile.TemporaryFile() as given:  # no pipe: a command that reads nothing must not hold us up
                given.write(_told(run, alert))
                given.seek(0)
                process = subprocess.Popen(  # noqa: S602  a line for the shell is what the user was asked for
                    self._command,
                    shell=True,
                    stdin=given,
                    stdout=said,
                    stderr=said,
                    env={**os.environ, **_environment(run, alert)},
                    start_new_session=True,
                )
        except OSError as error:
            self._fault(f"cannot be run: {error.strerror}")
        else:
            self._running = _Running(process, said, time.monotonic() + self._limit_s)

    def _look(self, running: _Running) -> None:
        status = running.process.poll()
        if status is None:
            if time.monotonic() < running.deadline:
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()
            self._fault(f"was ended: it took longer than {self._limit_s:g} s")
        elif status:
            running.said.seek(0)
            lines = running.said.read(_LINE).decode(errors="replace").strip().splitlines()
            self._fault(f"failed (exit code {status}): {_printable(lines[-1]) if lines else 'without a word'}")
        running.said.close()
        self._running = None

    def _fault(self, what: str) -> None:
        if what not in self._faults:
            self._faults.add(what)
            self._notify(f"The command of BEDSIDE_NOTIFY {what}.")


def _told(run: wire.Hello, alert: wire.Alert) -> bytes:
    """The alarm as one JSON object; a number that JSON does not have as its name."""
    fields = msgspec.structs.asdict(alert)
    fields["severity"] = alert.severity.label
    fields["evidence"] = {k: v if math.isfinite(v) else str(v) for k, v in alert.evidence.items()}
    fields["offers"] = [msgspec.structs.asdict(offer) for offer in alert.offers]
    head = {"run_id": run.run_id, "name": run.name, "host": run.host}
    return json.dumps({**head, **fields}, ensure_ascii=False, default=str).encode(errors="replace") + b"\n"


def _environment(run: wire.Hello, alert: wire.Alert) -> dict[str, str]:
    sentence = f"{run.name}: {alert.rule} ({alert.severity.label}) at step {alert.raised_step}: {alert.summary}"
    if not alert.is_open:
        sentence += f"; resolved at step {alert.resolved_step}"
    return {"BEDSIDE_ALARM": _printable(sentence), "BEDSIDE_ALARM_ACTION": _printable(alert.action)}


def _printable(text: str) -> str:
    """Without what a terminal or a mail would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:_LINE]
