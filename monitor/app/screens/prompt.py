"""``/``: a text that a list is filtered by while it is typed."""

from __future__ import annotations

from collections.abc import Callable

from monitor.app.scene import Scene
from monitor.app.screens.intervene import Line, Question


class FilterScreen(Question[None]):
    """Every letter is told at once; escape brings back what was before."""

    def __init__(self, scene: Scene, panel: str, before: str, tell: Callable[[str], None]) -> None:
        self._typed = self._before = before
        self._tell = tell
        super().__init__(scene, f"filter {panel}", "⏎ keep   esc as before")

    def on_mount(self) -> None:
        super().on_mount()
        self.styles.align = ("center", "bottom")  # so that the list is seen

    def lines(self) -> list[Line]:
        palette = self.scene.palette
        return [
            *self.text("words that a name must hold; !word that it must not", "dim"),
            [("/ ", palette.pen("train", bold=True)), (self._typed[-(self.width - 9) :] + "▎", palette.pen("hi"))],
        ]

    def press(self, key: str, character: str | None) -> None:
        if key in ("enter", "escape"):
            self.dismiss(None)
            if key == "escape":
                self._tell(self._before)
            return
        if key == "backspace":
            self._typed = self._typed[:-1]
        elif character is not None and character.isprintable():
            self._typed += character
        self._tell(self._typed)
        self.draw()
