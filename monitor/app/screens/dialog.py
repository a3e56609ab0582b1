"""What every box over the main screen is: a panel in the middle that takes the keys until it is answered."""

from __future__ import annotations

import time
from typing import TypeVar

from textual import events
from textual.app import ComposeResult
from textual.screen import ModalScreen

from monitor.app.panel import Panel
from monitor.app.scene import Scene

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer]):
    """The app gives it the keys, in the order in which they were typed, from when it is on the terminal."""

    def __init__(self, scene: Scene, panel: Panel) -> None:
        super().__init__()
        self.scene, self.panel = scene, panel
        #: When it was first on the terminal, on the clock of ``Key.time``.
        self.displayed_s: float | None = None

    def compose(self) -> ComposeResult:
        yield self.panel

    def on_mount(self) -> None:
        self.styles.background = "transparent"
        self.styles.align = ("center", "middle")

    def displayed(self) -> None:
        """What has been drawn so far is on the terminal."""
        if self.displayed_s is None and self.panel.is_drawn:
            self.displayed_s = time.monotonic()

    def take(self, key: events.Key) -> None:
        """Take one key; none gets past it."""
        raise NotImplementedError
