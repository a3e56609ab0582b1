"""``?``: what the focused panel shows, and every key."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from textual import events

from monitor.app.canvas import Canvas, Span, spans_len
from monitor.app.keymap import COMMANDS, bound, sign
from monitor.app.panel import Panel, wrap
from monitor.app.panels import PANELS
from monitor.app.scene import Scene
from monitor.app.screens.dialog import Dialog

_INDENT = 8


class HelpPanel(Panel):
    """A box in the middle of the screen with all of the help on it."""

    TITLE = "help"

    def __init__(self, keys: Mapping[str, str]) -> None:
        super().__init__(id="help")
        self._keys = bound(keys)

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        palette = scene.palette
        self.frame(canvas, scene, bottom=[("any key closes", palette.pen("dim"))])
        focused = PANELS[scene.view.focus]
        accent, text = palette.pen("train", bold=True), palette.pen("text")
        room = canvas.width - 6
        lines: list[list[Span]] = [[(line, text)] for line in wrap(focused.HELP, room)]
        lines[0:0] = [[(focused.TITLE, accent)]]
        for group in dict.fromkeys(command.group for command in COMMANDS):
            lines += self._group(scene, group, room)
        for y, line in enumerate(lines[: canvas.height - 2], start=1):
            canvas.write(3, y, line)

    def _group(self, scene: Scene, group: str, room: int) -> list[list[Span]]:
        """The commands of a group, as many in a line as there is room for."""
        key, word, dim = (scene.palette.pen(ink) for ink in ("train", "text", "dim"))
        lines: list[list[Span]] = [[(group.ljust(_INDENT), dim)]]
        for words, commands in groupby((c for c in COMMANDS if c.group == group), lambda command: command.words):
            names = [self._keys[command.name].split(",") for command in commands]
            shown = names[0][:2] if len(names) == 1 else [keys[0] for keys in names]
            spans = [(" ".join(map(sign, shown)), key), (f" {words}  ", word)]
            if spans_len(lines[-1]) + spans_len(spans) - 2 > room:
                lines.append([(" " * _INDENT, dim)])
            lines[-1] += spans
        return lines


class Over(Dialog[None]):
    """A box over the main screen, closed by any key."""

    def on_mount(self) -> None:
        super().on_mount()
        self.panel.styles.max_width, self.panel.styles.max_height = 100, 34
        self.panel.show(self.scene)

    def take(self, key: events.Key) -> None:
        del key
        self.dismiss()

    def on_click(self) -> None:
        self.dismiss()


class HelpScreen(Over):
    """Closed by any key."""

    def __init__(self, scene: Scene, keys: Mapping[str, str]) -> None:
        super().__init__(scene, HelpPanel(keys))
