"""Every key of the screen: its name in the config file, what it is bound to, and the words of help and palette.

The one list from which the bindings, the help, the command palette and the check of the config file are made.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final, NamedTuple

from textual.keys import Keys

#: Of each panel that can have the focus: the key that gives it, in the order of tab.
PANEL_KEYS: Final[dict[str, str]] = {
    "loss": "1",
    "alerts": "2",
    "vitals": "3",
    "layers": "4",
    "classes": "5",
    "runs": "6",
    "grad": "7",
    "lr": "8",
    "rate": "9",
    "heat": "0",
    "events": "ctrl+e",
}


class Command(NamedTuple):
    """One thing that a key does. ``keys`` are Textual's names of keys, separated by commas.

    Neighbours with the same words are told as one in the help.
    """

    name: str
    keys: str
    action: str
    words: str
    group: str


COMMANDS: Final[tuple[Command, ...]] = (
    Command("down", "j,down", "move(1)", "select", "lists"),
    Command("up", "k,up", "move(-1)", "select", "lists"),
    Command("first", "g,home", "move(-1000000)", "first, last", "lists"),
    Command("last", "G,end", "move(1000000)", "first, last", "lists"),
    Command("page-down", "ctrl+d,pagedown", "move(10)", "ten at once", "lists"),
    Command("page-up", "ctrl+u,pageup", "move(-10)", "ten at once", "lists"),
    Command("filter", "slash", "filter", "filter", "lists"),
    Command("sort", "S", "sort", "sort", "lists"),
    Command("next-panel", "tab", "next_panel(1)", "next panel", "panels"),
    Command("previous-panel", "shift+tab", "next_panel(-1)", "next panel", "panels"),
    *(
        Command(f"focus-{name}", key, f"focus_panel('{name}')", f"{name}", "panels")
        for name, key in PANEL_KEYS.items()
    ),
    Command("zoom", "z", "zoom", "over the whole screen", "panels"),
    Command("wall", "w", "wall", "a wall of all charts", "panels"),
    Command("next-page", "n", "page(1)", "its pages", "panels"),
    Command("previous-page", "p", "page(-1)", "its pages", "panels"),
    Command("log", "l", "log", "log or linear", "charts"),
    Command("smooth", "s", "smooth", "smoothing", "charts"),
    Command("longer", "left_square_bracket", "range(-1)", "range", "charts"),
    Command("shorter", "right_square_bracket", "range(1)", "range", "charts"),
    Command("x-axis", "x", "x_axis", "by step, time, epoch", "charts"),
    Command("zoom-in", "plus,equals_sign", "magnify(1)", "zoom in time", "charts"),
    Command("zoom-out", "minus", "magnify(-1)", "zoom in time", "charts"),
    Command("pan-left", "comma", "pan(-1)", "pan", "charts"),
    Command("pan-right", "full_stop", "pan(1)", "pan", "charts"),
    Command("cross-left", "left", "cross(-1)", "crosshair", "charts"),
    Command("cross-right", "right", "cross(1)", "crosshair", "charts"),
    Command("cross-far-left", "shift+left", "cross(-10)", "ten at once", "charts"),
    Command("cross-far-right", "shift+right", "cross(10)", "ten at once", "charts"),
    Command("live", "f", "live", "whole run, live", "charts"),
    Command("inspect", "enter", "enter", "to the alert, then why; open run", "alerts"),
    Command("next-event", "e", "event(1)", "next event, event before", "alerts"),
    Command("previous-event", "E", "event(-1)", "next event, event before", "alerts"),
    Command("acknowledge", "a", "acknowledge", "seen", "alerts"),
    Command("mute", "m", "mute", "mute its kind for an hour", "alerts"),
    Command("back", "escape", "release", "back", "alerts"),
    Command("return", "backspace", "return", "the run before", "run"),
    Command("overlay", "space", "overlay", "lay the selected run under the charts", "run"),
    Command("ghost", "o", "ghost", "the best earlier run", "run"),
    Command("suggested", "d", "suggested(0)", "as the alert suggests", "run"),
    Command("second", "D", "suggested(1)", "as the alert suggests", "run"),
    Command("intervene", "i", "intervene", "intervene", "run"),
    Command("resume", "r", "resume", "resume", "run"),
    Command("theme", "t", "theme", "theme", "screen"),
    Command("help", "question_mark", "help", "help", "screen"),
    Command("palette", "colon,ctrl+p", "commands", "all commands", "screen"),
    Command("quit", "q", "quit", "quit; training goes on, and so does its record", "screen"),
)

#: The names that Textual has for keys with a sign, and the sign.
_SIGNS: Final = {
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "comma": ",",
    "full_stop": ".",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "backslash": "\\",
    "at": "@",
    "underscore": "_",
    "enter": "⏎",
    "escape": "esc",
    "tab": "⇥",
    "shift+tab": "⇧⇥",
    "left": "←",
    "right": "→",
    "shift+left": "⇧←",
    "shift+right": "⇧→",
    "up": "↑",
    "down": "↓",
    "space": "space",
    "backspace": "bksp",
}

#: The names of keys that are no characters, and those that Textual shortens.
KEY_NAMES: Final = frozenset({key.value for key in Keys if "+" not in key.value and key.value[0] != "<"} | {*_SIGNS})


def sign(key: str) -> str:
    """A key as it is written on the screen: ``slash`` -> ``/``, ``ctrl+d`` -> ``^d``."""
    return _SIGNS.get(key, key.replace("ctrl+", "^"))


def key_named(text: str) -> str:
    """Textual's name of a key that a person wrote: ``/`` -> ``slash``, ``^d`` -> ``ctrl+d``, ``G`` as it is."""
    names = {shown: name for name, shown in _SIGNS.items()}
    if text in names:
        return names[text]
    if len(text) == 1 and not text.isalnum():
        return unicodedata.name(text, "").lower().replace(" ", "_").replace("-", "_")
    return text.replace("^", "ctrl+") if len(text) > 1 else text


def is_key(name: str) -> bool:
    """Whether there is a key of that name in Textual: ``ctrl+f``, ``pagedown``, ``é``, ``section_sign``."""
    *modifiers, key = name.split("+")
    if not set(modifiers) <= {"ctrl", "shift", "alt"}:
        return False
    return len(key) == 1 or key in KEY_NAMES or _is_character(key.replace("_", " "))


def _is_character(name: str) -> bool:
    try:
        unicodedata.lookup(name)
    except KeyError:
        return False
    return True


def bound(changed: Mapping[str, str]) -> dict[str, str]:
    """The keys of each command: those that the config file gives, else our own."""
    return {command.name: changed.get(command.name, command.keys) for command in COMMANDS}


def first_sign(command: str, changed: Mapping[str, str]) -> str:
    """The first key of a command, as it is written on the screen."""
    return sign(bound(changed)[command].split(",")[0])
