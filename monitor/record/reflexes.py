"""Commands that the training asked for in advance: ``probe.attach(..., on_alert={"divergence": "pause"})``."""

from __future__ import annotations

import difflib
import secrets
import time
from collections.abc import Iterable, Iterator

from probe import wire


class Reflexes:
    """Which alarms are to be answered with a command and have not been, each time that they come up.

    What has been answered is read from the marks that commands leave in the run. So a recorder that takes over from
    another one, and judges the run from its beginning, neither repeats a reflex nor forgets one.
    """

    def __init__(self, hello: wire.Hello | None = None) -> None:
        self._run_id = hello.run_id if hello is not None else ""
        self._actions = hello.on_alert if hello is not None else {}
        self._due: dict[int, wire.Alert] = {}
        self._answered: set[tuple[int, str, int]] = set()

    def see(self, changed: Iterable[wire.Alert], marks: Iterable[wire.Mark]) -> None:
        """The alerts that a batch has changed, and the marks in it."""
        for alert in changed:
            is_alarm = alert.is_open and alert.severity.is_alarm
            if is_alarm and alert.rule in self._actions and _occurrence(alert) not in self._answered:
                self._due[alert.id] = alert
            else:
                self._due.pop(alert.id, None)
        for mark in marks:
            for alert in list(self._due.values()):
                if mark.by == _name(alert) and mark.step >= alert.raised_step:
                    self._answer(alert)

    def due(self) -> list[tuple[wire.Command, str]]:
        """The commands to give now, each once, and why in a line."""
        return [self._answer(alert) for alert in list(self._due.values())]

    def _answer(self, alert: wire.Alert) -> tuple[wire.Command, str]:
        del self._due[alert.id]
        self._answered.add(_occurrence(alert))
        action = self._actions[alert.rule]
        command = wire.Command(
            id=secrets.token_hex(8),
            run_id=self._run_id,
            name=action.name,
            time_s=time.time(),
            by=_name(alert),
            args=action.args,
        )
        return command, f"{alert.rule} at step {alert.last_step}: {action.name}, as on_alert says."


def _name(alert: wire.Alert) -> str:
    """Who asks, as the mark will say."""
    return f"reflex {alert.rule}"


def _occurrence(alert: wire.Alert) -> tuple[int, str, int]:
    return alert.id, alert.rule, alert.count


def unknown(hello: wire.Hello) -> Iterator[str]:
    """A line for each rule that the training named and that is none."""
    from monitor.rules import RULES

    names = [rule.name for rule in RULES]
    for name in hello.on_alert:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            meant = f"did you mean {close[0]!r}?" if close else "'bedside rules' lists them."
            yield f"on_alert names {name[:40]!r}, which is no rule, so nothing comes of it; {meant}"
