"""``:``: every command by its words; typing narrows the list, enter does the selected one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from monitor.app.keymap import COMMANDS, Command, bound, sign
from monitor.app.panel import matches
from monitor.app.scene import Scene
from monitor.app.screens.intervene import Line, Question

_ROWS: Final = 12


class CommandsScreen(Question[str | None]):
    """Gives the action of the chosen command."""

    def __init__(self, scene: Scene, keys: Mapping[str, str]) -> None:
        self._keys = bound(keys)
        self._typed, self._at = "", 0
        super().__init__(scene, "commands", "⏎ do it   ↑ ↓ select   esc nothing")

    @property
    def found(self) -> list[Command]:
        return [one for one in COMMANDS if matches(self._typed, one.name, one.words, one.group)]

    def lines(self) -> list[Line]:
        palette, found = self.scene.palette, self.found
        lines: list[Line] = [[(": ", palette.pen("train", bold=True)), (f"{self._typed}▎", palette.pen("hi"))]]
        top = min(max(self._at - _ROWS + 1, 0), max(len(found) - _ROWS, 0))
        for index, command in enumerate(found[top : top + _ROWS], start=top):
            on = index == self._at
            words = f"{command.name:18}{command.words}".ljust(self.width - 16)
            lines.append(
                [
                    ("▎ " if on else "  ", palette.pen("train", bold=True)),
                    (words, palette.pen("hi" if on else "text", bold=on)),
                    (sign(self._keys[command.name].split(",")[0]), palette.pen("train", bold=True)),
                ]
            )
        return lines if found else [*lines, [("  no command has these words", palette.pen("warn"))]]

    def press(self, key: str, character: str | None) -> None:
        found = self.found
        if key in ("escape", "enter"):
            self.dismiss(found[self._at].action if key == "enter" and found else None)
            return
        if key in ("down", "up"):
            self._at = min(max(self._at + (1 if key == "down" else -1), 0), max(len(found) - 1, 0))
        elif key == "backspace":
            self._typed, self._at = self._typed[:-1], 0
        elif character is not None and character.isprintable():
            self._typed, self._at = self._typed + character, 0
        self.draw()
