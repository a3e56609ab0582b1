"""``?``: what the focused panel shows, and every key."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.screen import ModalScreen

from monitor.app.canvas import Canvas
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
    ("z", "the focused panel over the whole screen, and back"),
    ("t", "theme"),
    ("q", "quit; training goes on, and so does its record"),
)


class HelpPanel(Panel):
    """A box in the middle of the screen with all of the help on it."""

    TITLE = "help"

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        palette = scene.palette
        self.frame(canvas, scene, bottom=[("any key closes", palette.pen("dim"))])
        focused = PANELS[scene.view.focus]
        room, y = canvas.width - 6, 2
        canvas.put(3, y, focused.TITLE, palette.pen("train", bold=True))
        for line in wrap(focused.HELP, room):
            y += 1
            canvas.put(3, y, line, palette.pen("text"))
        y += 2
        for keys, what in KEYS:
            canvas.put(3, y, keys, palette.pen("train", bold=True))
            for line in wrap(what, room - 10):
                canvas.put(13, y, line, palette.pen("text"))
                y += 1
        canvas.put(3, y + 1, "signs", palette.pen("train", bold=True))
        canvas.put(13, y + 1, "✗ critical  ▲ warning  ● notice  ○ info  ✓ fine", palette.pen("text"))
        for edge in (0, canvas.width - 1):  # a text that is longer than the box must not look like its frame
            canvas.put(edge, canvas.height - 1, "╰" if edge == 0 else "╯", palette.pen("frame"))


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
