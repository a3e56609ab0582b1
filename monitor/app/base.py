"""The screen without its keys: one timer that asks for the newest snapshot, and the panels that draw it."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from textual import events
from textual.app import App, ComposeResult
from textual.geometry import Size
from textual.message import Message

from monitor.app.attention import attended
from monitor.app.compare import INKS, Other, candidates
from monitor.app.interventions import READ_ONLY, refusal
from monitor.app.palette import Ink, Palette, ThemeName, is_light, themes_for
from monitor.app.panels import EDGES
from monitor.app.scene import Said, Scene, View
from monitor.app.screens.dialog import Dialog
from monitor.app.stage import Stage
from monitor.app.terminal import Bell, Signals, crop_updates_on_the_left, is_behind
from monitor.app.visit import Visit, is_complete, since, visit
from monitor.model import EMPTY, Ack, Action, Snapshot

#: Gives a command to the run of that id; returns what became of it.
Act = Callable[[str, Action], Ack]

#: How long the answer to a key or a command is shown.
SAID_S = 20.0
#: A window that has not the focus is drawn this often, in seconds.
UNSEEN_S = 1.0
#: A look is remembered this often, in seconds.
REMEMBER_S = 30.0


def local_now() -> datetime:
    return datetime.now().astimezone()


class Base(App[None]):
    """Shows what ``latest`` returns, ``fps`` times a second, and repaints the cells that changed.

    ``act`` gives a command to the run and waits for what became of it; without it this screen only looks. ``clock``
    must be the clock of ``Snapshot.heard_s``. ``theme`` names a palette; without it the terminal decides. ``keys``
    are other keys for some of the commands, ``explain`` says what a rule looks for, ``open_run`` gives another run as
    far as it is read, and ``recall`` and ``remember`` keep how a run stood and was looked at.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { overflow: hidden; }
    .stage { position: absolute; display: none; }
    """

    class Due(Message):
        """There is more to see than another step."""

    def __init__(
        self,
        latest: Callable[[], Snapshot],
        *,
        act: Act | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = local_now,
        fps: float = 4.0,
        theme: ThemeName | None = None,
        ascii: bool = False,  # noqa: A002  the word of the command line
        keys: Mapping[str, str] | None = None,
        signals: Signals = Signals(),  # noqa: B008  frozen
        explain: Callable[[str], str] = lambda _rule: "",
        open_run: Callable[[str], Snapshot | None] = lambda _run_id: None,
        recall: Callable[[str], Visit | None] = lambda _run_id: None,
        remember: Callable[[str, Visit], None] = lambda _run_id, _visit: None,
    ) -> None:
        no_color = "NO_COLOR" in os.environ
        wanted: ThemeName | None = "mono" if no_color else theme
        # Textual picks its NO_COLOR filter while it is built, by whether the terminal's own colours are used.
        super().__init__(ansi_color=wanted in ("ansi16", "mono"))
        themes = themes_for(self.console.color_system, no_color=no_color, light=is_light(os.environ))
        self._palette = Palette(wanted or themes[0], ascii_only=ascii)
        self._themes = themes if self._palette.name in themes else (self._palette.name, *themes)
        self._act, self._explain, self._open_run = act, explain, open_run
        self._recall, self._remember = recall, remember
        self._before: Visit | None = None
        self._chosen_theme: ThemeName | None = None
        self._run_id, self._has_met = "", False
        self._keys: Mapping[str, str] = keys or {}
        self._latest, self._clock, self._wall, self._fps = latest, clock, wall, fps
        self.view = View()
        self.snapshot: Snapshot = EMPTY
        self._stage = Stage()
        self._bell = Bell(self, signals)
        self._is_seen, self._beat_s = True, 0.0
        self._drawn: tuple[object, ...] = ()
        #: The id of the run that was opened from the list instead of the one that ``latest`` gives.
        self._opened: str | None = None
        self._typed: deque[events.Key] = deque()
        self._is_taking = False

    def compose(self) -> ComposeResult:
        yield from self._stage.panels.values()

    async def on_event(self, event: events.Event) -> None:
        """Keys wait for their turn: each is for what those before it have left on the screen."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._typed.append(event)
            self._take_next()
        else:
            await super().on_event(event)

    def _take_next(self) -> None:
        """Take the oldest key, after what the answer to the one before it calls."""
        if self._typed and not self._is_taking:
            self._is_taking = True
            self.call_next(self._take_key)

    async def _take_key(self) -> None:
        """Give the oldest key to what is on top; a box has to be on the terminal before it is given any."""
        top = self.screen
        is_due = not isinstance(top, Dialog) or top.displayed_s is not None
        if is_due:
            key = self._typed.popleft()
            if isinstance(top, Dialog):
                top.take(key)
            else:
                await super().on_event(key)
        self._is_taking = False
        if is_due:
            self._take_next()

    def post_display_hook(self) -> None:
        """Textual has written to the terminal."""
        if isinstance(self.screen, Dialog):
            self.screen.displayed()
            self._take_next()

    def on_mount(self) -> None:
        crop_updates_on_the_left()
        self._use(self._palette)
        self.set_keymap(dict(self._keys))
        self.set_interval(1 / self._fps, self.beat)
        self.set_interval(REMEMBER_S, self.keep)

    def on_unmount(self) -> None:
        self.keep()
        self._bell.close()

    def on_resize(self, event: events.Resize) -> None:
        self.tick(size=event.size)  # self.size is still the old one

    def on_app_blur(self) -> None:
        self._is_seen = False

    def on_app_focus(self) -> None:
        self._is_seen = True

    def hurry(self) -> None:
        """Draw what is new now rather than with the next frame. From any thread."""
        self.post_message(self.Due())

    def on_base_due(self) -> None:
        self.tick()

    def beat(self) -> None:
        """Tick, if there is somebody to see it: less often in a window without the focus, not on a line that lags."""
        now_s = self._clock()
        if is_behind(self) or (not self._is_seen and now_s - self._beat_s < UNSEEN_S):
            return
        self._beat_s = now_s
        self.tick()

    def tick(self, *, size: Size | None = None, force: bool = False) -> None:
        """Take the newest snapshot and draw it; if nothing is new, only the lines that say how old it is."""
        newest = self._newest()
        self._meet(newest)
        self.snapshot = snapshot = attended(newest, self.view.attention, self._wall().timestamp())
        force = force or size is not None
        versions = (snapshot.version, snapshot.runs, *(other.snapshot.version for other in self._others()))
        is_new = force or versions != self._drawn
        if is_new:
            self._tell_since(snapshot)
            self._drawn = versions
            self._stage.arrange(size or self._stage.size, self.scene())
            self._bell.hear(snapshot)
        scene = self.scene()
        names = self._stage.panels if is_new else (*(EDGES if scene.is_ticking else ()), *self._stage.late())
        self._stage.show(scene, names, at_once=force)

    def keep(self) -> None:
        """Remember this look; also now and then, because a line that breaks gives no time for it."""
        if self._run_id and self._before is None:  # while it loads there is nothing to remember
            seen = visit(self.snapshot, self.view, self._chosen_theme, self._wall().timestamp())
            self._remember(self._run_id, seen)

    def _newest(self) -> Snapshot:
        """The newest snapshot of the run that is shown."""
        first = self._latest()
        opened = None if self._opened is None else self._open_run(self._opened)
        if opened is None:
            return first
        return replace(opened, runs=tuple(replace(row, current=row.run_id == self._opened) for row in first.runs))

    def _meet(self, snapshot: Snapshot) -> None:
        """Look at another run as last time, or anew; the focus stays where it is, but for the first one."""
        run_id = snapshot.hello.run_id if snapshot.hello else ""
        if run_id == self._run_id:
            return
        self.keep()
        self._bell.meets_another()
        said = self.view.said
        self._run_id, self._before = run_id, self._recall(run_id) if run_id else None
        if self._before is not None:
            self.view = self._before.view(focus=self.view.focus if self._has_met else None)
            if self._before.theme in self._themes:
                self.choose_theme(self._before.theme)
        elif run_id and self._has_met:
            self.view = self.view.of_another_run()
        self.view = replace(self.view, said=said)
        self._has_met = self._has_met or bool(run_id)

    def _tell_since(self, snapshot: Snapshot) -> None:
        """What happened since the last look, once the history is here."""
        if self._before is not None and is_complete(snapshot):
            away = since(self._before, snapshot, self._wall().timestamp())
            self.view, self._before = replace(self.view, away=away), None

    def _others(self) -> tuple[Other, ...]:
        """The runs that were chosen, and the best earlier one, as far as they are read."""
        found: list[Other] = []
        names = {row.run_id: row.name for row in self.snapshot.runs}
        for run_id in self.view.overlay:
            other = self._open_run(run_id)
            if other is not None:
                found.append(Other(run_id, names.get(run_id, run_id), INKS[len(found)], other))
        if self.view.ghost and len(found) < len(INKS) and (best := self._best_earlier()) is not None:
            run_id, other = best
            if run_id not in self.view.overlay:
                found.append(Other(run_id, names[run_id], INKS[len(found)], other))
        return tuple(found)

    def _best_earlier(self) -> tuple[str, Snapshot] | None:
        """The earlier run of the same model with the lowest loss; ``None`` while it is read, or if there is none."""
        hello = self.snapshot.hello
        for row in candidates(self.snapshot):
            other = self._open_run(row.run_id)
            if other is None:
                continue  # gone, or damaged
            if other.hello is None:
                return None
            if hello is not None and other.hello.model == hello.model:
                return row.run_id, other
        return None

    def scene(self) -> Scene:
        """The newest snapshot as it is to be drawn now."""
        places = self._stage.places
        return Scene(
            self._palette,
            self.snapshot,
            self.view,
            self._clock(),
            self._wall(),
            has_minis="grad" in places,
            has_alerts="alerts" in places,
            refusal=READ_ONLY if self._act is None else refusal(self.snapshot),
            others=self._others(),
        )

    def choose_theme(self, name: ThemeName) -> None:
        """What the person wants, whatever the terminal or the config file says."""
        self._chosen_theme = name
        self._use(Palette(name, ascii_only=self._palette.ascii))

    def _use(self, palette: Palette) -> None:
        self._palette = palette
        self.ansi_color = palette.is_ansi
        self.screen_stack[0].styles.background = palette.screen

    def _change(self, **changes: object) -> None:
        """Another view of the run, drawn at once."""
        self.view = replace(self.view, **changes)  # type: ignore[arg-type]
        self.tick(force=True)

    def _say(self, text: str, ink: Ink = "text", for_s: float = math.inf) -> None:
        self._change(said=Said(text, ink, self._clock() + for_s))
