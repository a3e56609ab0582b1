"""The program: one timer that asks for the newest snapshot, and the keys. All drawing is in the panels."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size

from monitor.app.interventions import READ_ONLY, refusal, suggested, title
from monitor.app.palette import Ink, Palette, ThemeName, themes_for
from monitor.app.panel import ListPanel, Panel
from monitor.app.panels import EDGES, PANELS
from monitor.app.panels.alerts import selected_alert
from monitor.app.scene import RANGES, SMOOTHINGS, Said, Scene, View
from monitor.app.screens.help import HelpScreen
from monitor.app.screens.intervene import ASKED, ConfirmScreen, MenuScreen, TypeScreen
from monitor.app.stage import Stage
from monitor.app.terminal import Bell, crop_updates_on_the_left
from monitor.model import EMPTY, Ack, Action, RunState, Snapshot
from monitor.words import meant

#: Gives a command to the run of that id; returns what became of it.
Act = Callable[[str, Action], Ack]

#: How long the answer to a command is shown.
SAID_S = 20.0


def _local_now() -> datetime:
    return datetime.now().astimezone()


class MonitorApp(App[None]):
    """Shows what ``latest`` returns, ``fps`` times a second, and repaints the cells that changed.

    ``act`` gives a command to the run and waits for what became of it; without it this screen only looks. ``clock``
    must be the clock of ``Snapshot.heard_s``. ``theme`` names a palette; without it the terminal decides.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { overflow: hidden; }
    .stage { position: absolute; display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)"),
        Binding("k,up", "move(-1)"),
        Binding("g,home", "move(-1000000)"),
        Binding("G,end", "move(1000000)"),
        Binding("tab", "next_panel(1)", priority=True),
        Binding("shift+tab", "next_panel(-1)", priority=True),
        *[Binding(str(i), f"focus_panel('{name}')") for i, name in enumerate(PANELS, start=1)],
        Binding("l", "log"),
        Binding("s", "smooth"),
        Binding("left_square_bracket", "range(-1)"),
        Binding("right_square_bracket", "range(1)"),
        Binding("f", "live"),
        Binding("enter", "to_alert"),
        Binding("escape", "release"),
        Binding("d", "suggested(0)"),
        Binding("D", "suggested(1)"),
        Binding("i", "intervene"),
        Binding("r", "resume"),
        Binding("z", "zoom"),
        Binding("t", "theme"),
        Binding("question_mark", "help"),
        Binding("q", "quit"),
    ]

    def __init__(
        self,
        latest: Callable[[], Snapshot],
        *,
        act: Act | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = _local_now,
        fps: float = 4.0,
        theme: ThemeName | None = None,
        ascii: bool = False,  # noqa: A002  the word of the command line
    ) -> None:
        no_color = "NO_COLOR" in os.environ
        wanted: ThemeName | None = "mono" if no_color else theme
        # Textual picks its NO_COLOR filter while it is built, by whether the terminal's own colours are used.
        super().__init__(ansi_color=wanted in ("ansi16", "mono"))
        themes = themes_for(self.console.color_system, no_color=no_color)
        self._palette = Palette(wanted or themes[0], ascii_only=ascii)
        self._themes = themes if self._palette.name in themes else (self._palette.name, *themes)
        self._act = act
        self._latest, self._clock, self._wall, self._fps = latest, clock, wall, fps
        self.view = View()
        self.snapshot: Snapshot = EMPTY
        self._stage = Stage()
        self._bell = Bell(self)
        self._drawn_version: int | None = None

    # ------------------------------------------------------------------------------------------------- the screen

    def compose(self) -> ComposeResult:
        yield from self._stage.panels.values()

    def on_mount(self) -> None:
        crop_updates_on_the_left()
        self._use(self._palette)
        self.set_interval(1 / self._fps, self.tick)

    def on_unmount(self) -> None:
        self._bell.close()

    def on_resize(self, event: events.Resize) -> None:
        self.tick(size=event.size)  # self.size is still the old one

    def tick(self, *, size: Size | None = None, force: bool = False) -> None:
        """Take the newest snapshot and draw it; if nothing is new, only the lines that say how old it is."""
        self.snapshot = snapshot = self._latest()
        force = force or size is not None
        is_new = force or snapshot.version != self._drawn_version
        if is_new:
            self._drawn_version = snapshot.version
            self._stage.arrange(size or self._stage.size, self.view, snapshot)
            self._bell.hear(snapshot)
        scene = self.scene()
        names = self._stage.panels if is_new else (*(EDGES if scene.is_ticking else ()), *self._stage.late())
        self._stage.show(scene, names, at_once=force)

    def scene(self) -> Scene:
        """The newest snapshot as it is to be drawn now."""
        has_minis = "grad" in self._stage.places
        why = READ_ONLY if self._act is None else refusal(self.snapshot)
        now_s, wall = self._clock(), self._wall()
        return Scene(self._palette, self.snapshot, self.view, now_s, wall, has_minis=has_minis, refusal=why)

    def _use(self, palette: Palette) -> None:
        self._palette = palette
        self.ansi_color = palette.is_ansi
        self.screen_stack[0].styles.background = palette.screen

    def _change(self, **changes: object) -> None:
        """Another view of the run, drawn at once."""
        self.view = replace(self.view, **changes)  # type: ignore[arg-type]
        self.tick(force=True)

    # --------------------------------------------------------------------------------------------------- the keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """While something lies over the main screen, no key reaches what is under it."""
        return len(self.screen_stack) == 1

    def on_panel_chosen(self, message: Panel.Chosen) -> None:
        if message.panel.id in PANELS:
            self.view = replace(self.view, focus=message.panel.id)
            self.action_move(message.by)

    def action_move(self, by: int) -> None:
        panel = self._stage.panels[self.view.focus]
        if by and isinstance(panel, ListPanel):
            panel.move(by)
        self.tick(force=True)

    def action_focus_panel(self, name: str) -> None:
        self._change(focus=name)

    def action_next_panel(self, by: int) -> None:
        order = list(PANELS) if self.view.zoomed else self._stage.in_sight()
        at = order.index(self.view.focus) if self.view.focus in order else 0
        self._change(focus=order[(at + by) % len(order)] if order else self.view.focus)

    def action_log(self) -> None:
        self._change(log=not self.view.log)

    def action_smooth(self) -> None:
        self._change(smoothing=SMOOTHINGS[(SMOOTHINGS.index(self.view.smoothing) + 1) % len(SMOOTHINGS)])

    def action_range(self, by: int) -> None:
        at = min(max(RANGES.index(self.view.range) + by, 0), len(RANGES) - 1)
        self._change(range=RANGES[at], held=None)

    def action_live(self) -> None:
        self._change(range="all", held=None)

    def action_to_alert(self) -> None:
        alert = selected_alert(self._stage.panels["alerts"], self.snapshot)
        if alert is not None:
            self._change(held=self.scene().around(alert))

    def action_release(self) -> None:
        for panel in self._stage.lists():
            panel.release()
        self._change(range="all", held=None, zoomed=False, said=None)

    def action_zoom(self) -> None:
        self._change(zoomed=not self.view.zoomed)

    def action_theme(self) -> None:
        following = self._themes[(self._themes.index(self._palette.name) + 1) % len(self._themes)]
        self._use(Palette(following, ascii_only=self._palette.ascii))
        self.tick(force=True)

    def action_help(self) -> None:
        self.push_screen(HelpScreen(self.scene()))

    # ------------------------------------------------------------------------------------------ doing something to it

    def action_suggested(self, number: int) -> None:
        """What the selected alert suggests first, or second."""
        offers = self._offers()
        if self._may() and number < len(offers):
            self._confirm(offers[number])

    def action_resume(self) -> None:
        if self.snapshot.state is RunState.PAUSED and self._may():
            self._confirm(Action("resume"))

    def action_intervene(self) -> None:
        if self._may():
            self.push_screen(MenuScreen(self.scene(), self._offers()), self._chosen)

    def _offers(self) -> list[Action]:
        return suggested(self.snapshot, selected_alert(self._stage.panels["alerts"], self.snapshot))

    def _may(self) -> bool:
        """Whether this run takes commands from here; says so if not."""
        why = self.scene().refusal
        if why:
            self._say(why, "warn", SAID_S)
        return not why

    def _chosen(self, choice: Action | str | None) -> None:
        if isinstance(choice, Action):
            self._confirm(choice)
        elif choice is not None:
            name, wanted = ASKED[choice]
            screen = TypeScreen(self.scene(), name, wanted, lambda text: meant(name, text.split()))
            self.push_screen(screen, lambda action: None if action is None else self._confirm(action))

    def _confirm(self, action: Action) -> None:
        hello = self.snapshot.hello
        assert hello is not None
        run_id = hello.run_id  # the run that the numbers are of, whatever is shown when it is confirmed
        self.push_screen(ConfirmScreen(self.scene(), action), lambda yes: self._send(run_id, action) if yes else None)

    def _send(self, run_id: str, action: Action) -> None:
        """Give the command in a thread: the answer comes when the loop comes to its next step."""
        act = self._act
        assert act is not None
        self._say(f"{title(action)}: waiting for the next step …", "train")

        def run() -> None:
            ack = act(run_id, action)
            with contextlib.suppress(RuntimeError):  # the screen is closed by now
                self.call_from_thread(self._answered, action, ack)

        threading.Thread(target=run, name="bedside-command", daemon=True).start()

    def _answered(self, action: Action, ack: Ack) -> None:
        if ack.ok:
            self._say(f"✓ {ack.text}", "ok", SAID_S)
        else:
            self._say(f"✗ {title(action)} refused: {ack.text}", "warn", SAID_S)

    def _say(self, text: str, ink: Ink, for_s: float = math.inf) -> None:
        self._change(said=Said(text, ink, self._clock() + for_s))
