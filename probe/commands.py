"""Which commands there are, and whether one may be carried out; which a script may ask for in advance."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from time import time
from typing import Any, Final

from probe import wire
from probe.errors import ProbeError

NAMES: Final = ("lr", "checkpoint", "pause", "resume", "stop", "interrupt", "detail", "note", "undo")

#: What ``attach(on_alert=...)`` may name, and the command that each stands for.
REFLEXES: Final[Mapping[str, wire.Action]] = {
    "pause": wire.Action("pause"),
    "checkpoint": wire.Action("checkpoint"),
    "checkpoint-and-stop": wire.Action("stop", {"checkpoint": True}),
    "stop": wire.Action("stop", {"checkpoint": False}),
    "interrupt": wire.Action("interrupt"),
}

#: How old a command may be when it arrives, by the clocks of the two machines.
MAX_AGE_S: Final = 60.0
#: How many commands are heard in how many seconds.
MAX_COMMANDS: Final = 20
PER_S: Final = 10.0

_MAX_RATE: Final = 100.0
_MAX_STEPS: Final = 10_000
_MAX_TEXT: Final = 500
_MAX_ID: Final = 64


class Refusal(Exception):  # noqa: N818  what it is, in the words of the one who asked
    """Why a command is not carried out: one line for a person."""


class Gate:
    """Lets each command of this run in once, while it is fresh, and not too many. Used by one thread."""

    def __init__(self, run_id: str, clock: Callable[[], float] = time) -> None:
        self._run_id, self._clock = run_id, clock
        self._ids: deque[str] = deque(maxlen=1024)
        self._times_s: deque[float] = deque(maxlen=MAX_COMMANDS)

    def check(self, command: wire.Command) -> None:
        """Raises :class:`Refusal`."""
        now = self._clock()
        if command.run_id != self._run_id:
            raise Refusal(f"this is run {self._run_id}, not {command.run_id[:_MAX_ID]}")
        if command.name not in NAMES:
            raise Refusal(f"no command {command.name[:_MAX_ID]!r}; there are {', '.join(NAMES)}")
        if not 0 < len(command.id) <= _MAX_ID:
            raise Refusal(f"an id of 1 to {_MAX_ID} characters is needed")
        if command.id in self._ids:
            raise Refusal(f"command {command.id} was given before")
        self._ids.append(command.id)
        if not abs(now - command.time_s) <= MAX_AGE_S:
            age_s = now - command.time_s
            raise Refusal(f"asked {age_s:.0f} s ago by this machine's clock; a command is good for {MAX_AGE_S:.0f} s")
        if command.name != "resume":
            if len(self._times_s) == MAX_COMMANDS and now - self._times_s[0] < PER_S:
                raise Refusal(f"more than {MAX_COMMANDS} commands in {PER_S:.0f} s")
            self._times_s.append(now)


def arguments(command: wire.Command) -> dict[str, Any]:
    """The command's arguments, checked, with the defaults of those left out. Raises :class:`Refusal`."""
    allowed = _CHECKS.get(command.name, {})
    for key in command.args:
        if key not in allowed:
            takes = ", ".join(allowed) or "nothing"
            raise Refusal(f"{command.name} takes {takes}; not {str(key)[:_MAX_ID]!r}")
    given = {key: check(key, command.args.get(key)) for key, check in allowed.items()}
    if command.name == "lr" and (given["factor"] is None) == (given["pin"] is None):
        raise Refusal("lr needs either factor or pin")
    if command.name == "stop" and given["checkpoint"] is None:
        given["checkpoint"] = True
    return given


def reflexes(on_alert: object, *, control: bool) -> dict[str, wire.Action]:
    """What ``attach(on_alert=...)`` asks for. Raises :class:`ProbeError`.

    The rules are the monitor's, which the training does not import: the recorder says which of the names is none.
    """
    if on_alert is None:
        return {}
    if not isinstance(on_alert, Mapping) or not all(isinstance(rule, str) for rule in on_alert):
        raise ProbeError(
            f"on_alert={_shown(on_alert)}; a dictionary of rules and actions is needed, as in "
            '{"divergence": "pause"}.'
        )
    for rule, action in on_alert.items():
        if not isinstance(action, str) or action not in REFLEXES:
            raise ProbeError(f"on_alert has {_shown(action)} for {rule!r}; there are {', '.join(REFLEXES)}.")
    if on_alert and not control:
        raise ProbeError("on_alert asks for commands and control=False takes none; leave one of the two away.")
    return {rule: REFLEXES[action] for rule, action in on_alert.items()}


def _rate(key: str, value: object) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < float(value) <= _MAX_RATE:  # type: ignore[arg-type]  # a NaN is not above 0 either
        raise Refusal(f"{key} is {_shown(value)}; a number above 0, at most {_MAX_RATE:g}, is needed")
    return float(value)  # type: ignore[arg-type]


def _group(key: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise Refusal(f"{key} is {_shown(value)}; a name is needed, or nothing for all")
    return value


def _flag(key: str, value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise Refusal(f"{key} is {_shown(value)}; true or false is needed")
    return value


def _steps(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MAX_STEPS:
        raise Refusal(f"{key} is {_shown(value)}; a whole number, 1 to {_MAX_STEPS}, is needed")
    return value


def _text(key: str, value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not 1 <= len(text) <= _MAX_TEXT:
        raise Refusal(f"{key} is {_shown(value)}; 1 to {_MAX_TEXT} characters are needed")
    return text


_CHECKS: Final[dict[str, dict[str, Callable[[str, object], Any]]]] = {
    "lr": {"group": _group, "factor": _rate, "pin": _rate},
    "stop": {"checkpoint": _flag},
    "interrupt": {"checkpoint": _flag},
    "detail": {"steps": _steps},
    "note": {"text": _text},
}


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    shown = repr(value)
    return shown if len(shown) <= _MAX_ID else f"{shown[:_MAX_ID]}..."
