"""What is asked before anything is done to a run: which command, its value, and whether it is really meant."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from textual import events

from monitor.app.canvas import Canvas, Span
from monitor.app.interventions import DETAIL_STEPS, consequences, title, to_undo
from monitor.app.palette import Ink
from monitor.app.panel import Panel, wrap
from monitor.app.scene import Scene
from monitor.app.screens.dialog import Answer, Dialog
from monitor.model import Action, RunState, Snapshot
from monitor.words import WordsError

WIDTH: Final = 72
#: Keys of the menu for commands that need a value, and what is asked for.
ASKED: Final = {"l": ("lr", "x0.5 of the schedule, or a learning rate such as 3e-4"), "n": ("note", "a text")}

Line = Sequence[Span]


class Box(Panel):
    """Lines in a frame in the middle of the screen."""

    def __init__(self, heading: str, lines: Callable[[Scene], list[Line]], bottom: str) -> None:
        super().__init__(id="box")
        self.TITLE = heading  # type: ignore[misc]  # a box has the title of what it asks
        self._lines, self._bottom = lines, bottom

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        self.frame(canvas, scene, bottom=[(self._bottom, scene.palette.pen("dim"))])
        for y, line in enumerate(self._lines(scene)[: canvas.height - 2], start=1):
            canvas.write(3, y, line)


class Question(Dialog[Answer]):
    """A box over the main screen, as high as its lines."""

    def __init__(self, scene: Scene, heading: str, bottom: str) -> None:
        super().__init__(scene, Box(heading, lambda _: self.lines(), bottom))

    def on_mount(self) -> None:
        super().on_mount()
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def draw(self) -> None:
        self.panel.styles.width = self.width
        self.panel.styles.height = len(self.lines()) + 2
        self.panel.show(self.scene)

    @property
    def width(self) -> int:
        return min(WIDTH, self.app.size.width)

    def lines(self) -> list[Line]:
        raise NotImplementedError

    def press(self, key: str, character: str | None) -> None:
        """Take one key by its name and what it types."""
        raise NotImplementedError

    def take(self, key: events.Key) -> None:
        self.press(key.key, key.character)

    def text(self, words: str, ink: Ink = "text") -> list[Line]:
        return [[(line, self.scene.palette.pen(ink))] for line in wrap(words, self.width - 6)]


class MenuScreen(Question[Action | str | None]):
    """All that can be asked of the run. Gives the action, or the key of one that needs a value."""

    def __init__(self, scene: Scene, offers: Sequence[Action]) -> None:
        self._choices = menu(scene.snapshot, offers)
        super().__init__(scene, "intervene", "any other key: nothing")

    def lines(self) -> list[Line]:
        key, text = self.scene.palette.pen("train", bold=True), self.scene.palette.pen("text")
        return [[(letter.ljust(4), key), (what, text)] for letter, what, _ in self._choices]

    def press(self, key: str, character: str | None) -> None:
        del key
        self.dismiss(next((choice for letter, _, choice in self._choices if letter == character), None))


def menu(snapshot: Snapshot, offers: Sequence[Action]) -> list[tuple[str, str, Action | str]]:
    """Key, words and action of what this run takes, what the alert suggests first."""
    held = snapshot.state is RunState.PAUSED
    undone = to_undo(snapshot)
    everything: list[tuple[str, str, Action | str]] = [
        ("l", "learning rate: a factor or a value", "l"),
        ("c", "checkpoint now", Action("checkpoint")),
        ("r", "resume", Action("resume")) if held else ("p", "pause", Action("pause")),
        ("s", "stop, with a checkpoint first", Action("stop")),
        ("S", "stop, without a checkpoint", Action("stop", {"checkpoint": False})),
        ("x", "interrupt, as Ctrl-C", Action("interrupt")),
        ("m", f"more detail of the layers for {DETAIL_STEPS} steps", Action("detail", {"steps": DETAIL_STEPS})),
        ("n", "note: a mark on the charts", "n"),
        ("u", f"undo: {undone.text}" if undone else "undo", Action("undo")),
    ]
    known = snapshot.hello.control if snapshot.hello else []
    suggested = [
        (letter, f"{title(offer)}, as the alert suggests", offer) for letter, offer in zip("dD", offers, strict=False)
    ]
    taken = [
        choice
        for choice in everything
        if (choice[2].name if isinstance(choice[2], Action) else ASKED[choice[2]][0]) in known
    ]
    return [*suggested, *taken]


class TypeScreen(Question[Action | None]):
    """Asks for a value until it is one, or escape."""

    def __init__(self, scene: Scene, heading: str, wanted: str, read: Callable[[str], Action]) -> None:
        self._wanted, self._read = wanted, read
        self._typed = self._wrong = ""
        super().__init__(scene, heading, "⏎ go on   esc nothing")

    def lines(self) -> list[Line]:
        palette = self.scene.palette
        seen = self._typed[-(self.width - 9) :] + "▎"
        return [
            *(self.text(self._wrong, "warn") if self._wrong else self.text(self._wanted, "dim")),
            [("> ", palette.pen("train", bold=True)), (seen, palette.pen("hi"))],
        ]

    def press(self, key: str, character: str | None) -> None:
        if key == "escape":
            self.dismiss(None)
            return
        if key == "enter":
            self._finish()
            return
        self._wrong = ""
        if key == "backspace":
            self._typed = self._typed[:-1]
        elif character is not None and character.isprintable():
            self._typed += character
        self.draw()

    def _finish(self) -> None:
        try:
            action = self._read(self._typed.strip())
        except WordsError as error:
            self._wrong = str(error)
            self.draw()
        else:
            self.dismiss(action)


class ConfirmScreen(Question[bool]):
    """Says with numbers what will happen; only a ``y`` that was typed after that lets it."""

    def __init__(self, scene: Scene, action: Action) -> None:
        self._action, self._is_early = action, False
        super().__init__(scene, title(action), "y do it   any other key: no")

    def lines(self) -> list[Line]:
        told = [line for words in consequences(self.scene.snapshot, self._action) for line in self.text(words)]
        again = "y was typed before this was on the screen; if it is meant, type it again."
        return told + (self.text(again, "warn") if self._is_early else [])

    def take(self, key: events.Key) -> None:
        self._is_early = key.key == "y" and key.time < (self.displayed_s or math.inf)
        if self._is_early:
            self.draw()
        else:
            self.dismiss(key.key == "y")
