"""``?``: what the focused panel shows, and every key."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.screen import ModalScreen

from monitor.app.canvas import Canvas, Span
from monitor.app.panel import Panel, wrap
from monitor.app.panels import PANELS
from monitor.app.scene import Scene

#: Every key that works, in groups. The tests press each of them.
KEYS: tuple[tuple[str, str], ...] = (
    ("1-9  ⇥", "focus a panel: " + " ".join(f"{i} {name}" for i, name in enumerate(PANELS, start=1))),
    ("j k ↑ ↓", "select in the focused panel;  g G  the first, the last"),
    ("⏎", "take the charts to the selected alert's step;  esc  back to the whole run, live"),
    ("[ ]", "range of the charts: all, the newest third, tenth, last 1k steps;  f  whole run, live"),
    ("l", "logarithmic or linear loss"),
    ("s", "smoothing of the loss: 0, .6, .9, .98"),
    ("i", "intervene;  d D  as the selected alert suggests;  r  resume"),
    ("z", "the focused panel over the whole screen, and back"),
    ("t", "theme"),
    ("q", "quit; training goes on, and so does its record"),
    ("signs", "✗ critical  ▲ warning  ● notice  ○ info  ✓ fine"),
)

_INDENT = 10


class HelpPanel(Panel):
    """A box in the middle of the screen with all of the help on it."""

    TITLE = "help"

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        palette = scene.palette
        self.frame(canvas, scene, bottom=[("any key closes", palette.pen("dim"))])
        focused = PANELS[scene.view.focus]
        accent, text = palette.pen("train", bold=True), palette.pen("text")
        room = canvas.width - 6
        lines: list[list[Span]] = [
            [(focused.TITLE, accent)],
            *([(line, text)] for line in wrap(focused.HELP, room)),
            [],
        ]
        for keys, what in KEYS:
            first, *rest = wrap(what, room - _INDENT)
            lines.append([(keys.ljust(_INDENT), accent), (first, text)])
            lines += [[(" " * _INDENT + line, text)] for line in rest]
        for y, line in enumerate(lines[: canvas.height - 2], start=1):
            canvas.write(3, y, line)


class HelpScreen(ModalScreen[None]):
    """Closed by any key."""

    CSS = """
    HelpScreen { align: center middle; background: transparent; }
    HelpScreen > HelpPanel { width: 100%; max-width: 84; height: 100%; max-height: 28; }
    """

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self._scene = scene

    def compose(self) -> ComposeResult:
        yield HelpPanel(id="help")

    def on_mount(self) -> None:
        self.query_one(HelpPanel).show(self._scene)

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        self.dismiss()

    def on_click(self) -> None:
        self.dismiss()
