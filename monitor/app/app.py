"""The program: what is shown (base), the keys that look (viewing), the keys that act (intervening), put together."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from monitor.app.intervening import Intervening
from monitor.app.keymap import COMMANDS
from monitor.app.viewing import Viewing


class MonitorApp(Viewing, Intervening):
    """The screen with all its keys."""

    #: With priority: the others are sent to the screen and back first, and the next key is before them.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(command.keys, command.action, id=command.name, priority=True) for command in COMMANDS
    ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """While something lies over the main screen, no key reaches what is under it."""
        return len(self.screen_stack) == 1
