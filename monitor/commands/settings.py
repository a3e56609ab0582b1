"""The config file: how the screen looks, when it rings, and which keys do what. Read once when a screen opens.

Every name that is not known is refused with the nearest one that is: a setting that silently does nothing is worse
than none.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, get_args

from monitor.app.keymap import COMMANDS, KEY_NAMES, is_key, key_named
from monitor.app.palette import ThemeName
from monitor.app.terminal import Signals

FILE: Final = "config.toml"

_SCREEN: Final[dict[str, type | tuple[type, ...]]] = {
    "theme": str,
    "fps": (int, float),
    "ascii": bool,
    "bell": bool,
    "notify": bool,
    "title": bool,
}


class SettingsError(Exception):
    """The config file says something that cannot be; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the file says; without it, all as it comes. ``keys`` are Textual's names, by command."""

    theme: ThemeName | None = None
    fps: float = 4.0
    ascii: bool = False
    signals: Signals = field(default_factory=Signals)
    keys: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> Settings:
    """The settings in the file; the usual ones where there is none. Raises SettingsError."""
    try:
        given = _parsed(path)
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    _known(path, "table", given, ("screen", "keys"))
    for name in ("screen", "keys"):
        if not isinstance(given.get(name, {}), dict):
            raise SettingsError(f"{path}: {name} is a table: [{name}]")
    screen, keys = _screen(path, given.get("screen", {})), _keys(path, given.get("keys", {}))
    signals = Signals(**{name: screen.pop(name) for name in ("bell", "notify", "title") if name in screen})
    return Settings(**screen, signals=signals, keys=keys)


def _parsed(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no TOML: {error}") from error
    return found


def _known(path: Path, what: str, given: dict[str, Any], names: Collection[str]) -> None:
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"there is {', '.join(names)}"
            raise SettingsError(f"{path}: unknown {what} {name!r}; {hint}")


def _screen(path: Path, given: dict[str, Any]) -> dict[str, Any]:
    _known(path, "setting of [screen]", given, _SCREEN)
    for name, value in given.items():
        kind = _SCREEN[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            wanted = "true or false" if kind is bool else "a text" if kind is str else "a number"
            raise SettingsError(f"{path}: {name} is {wanted}, not {value!r}")
    theme, fps = given.get("theme"), given.get("fps", 4.0)
    if theme is not None:
        _known(path, "theme", {theme: None}, get_args(ThemeName))
    if not 0.5 <= fps <= 30.0:
        raise SettingsError(f"{path}: fps is a number from 0.5 to 30, not {fps}")
    return given


def _key(path: Path, command: str, text: str) -> str:
    """Textual's name of a key as it was written."""
    key = key_named(text)
    if not is_key(key):
        close = difflib.get_close_matches(key, KEY_NAMES, 1)
        hint = f"did you mean {close[0]!r}?" if close else "write its character, ^f for ctrl+f, or its name: pagedown"
        raise SettingsError(f"{path}: {command} = {text!r} is no key; {hint}")
    return key


def _keys(path: Path, given: dict[str, Any]) -> dict[str, str]:
    """The keys of the commands that are given others; a key of two commands is refused."""
    _known(path, "command of [keys]", given, [command.name for command in COMMANDS])
    keys = {command.name: command.keys for command in COMMANDS}
    changed = {}
    for name, value in given.items():
        wanted = [value] if isinstance(value, str) else value
        if not isinstance(wanted, list) or not wanted or not all(isinstance(key, str) and key for key in wanted):
            raise SettingsError(f"{path}: {name} is a key or a list of keys, not {value!r}")
        changed[name] = ",".join(_key(path, name, key) for key in wanted)
    owners: dict[str, str] = {}
    for name, bound in (keys | changed).items():
        for key in bound.split(","):
            other = owners.setdefault(key, name)
            if other != name:
                raise SettingsError(f"{path}: the key {key!r} is of {other} and of {name}; give one of them another")
    return changed
