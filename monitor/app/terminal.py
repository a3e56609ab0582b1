"""What is written to the terminal beside the screen: its title, a bell, a note; and fewer bytes for an update."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.app import format as fmt
from monitor.app.canvas import cells_of
from monitor.app.glyphs import SEVERITY, STATE
from monitor.app.scene import is_urgent
from monitor.model import Link, Snapshot

if TYPE_CHECKING:
    from textual.app import App

_PUSH_TITLE, _POP_TITLE = "\x1b[22;2t", "\x1b[23;2t"


def set_title(app: App[None], text: str) -> None:
    """Set the window's title. Control characters in it are replaced, so that a run's name is only a name."""
    clean = cells_of(text).tobytes().decode("utf-32-le").replace("\0", "")
    _write(app, f"\x1b]2;{clean}\x07")


def title_for(snapshot: Snapshot) -> str:
    """The state, the name and how far it is: ``✗ r07 32%``. The worst open alert's sign goes before the state's."""
    if snapshot.hello is None:
        return "bedside"
    worst = next((a for a in snapshot.open_alerts if a.severity.is_alarm and not (a.acknowledged or a.muted)), None)
    sign = SEVERITY[worst.severity] if worst else STATE[snapshot.state][0]
    total = snapshot.total_steps
    far = fmt.percent(snapshot.step / total, 0) if total else fmt.short(snapshot.step)
    return f"{sign} {snapshot.hello.name or snapshot.hello.run_id} {far}"


@dataclass(frozen=True, slots=True)
class Signals:
    """What may be sent beside the screen: a BEL and a desktop note for a critical alert, the window's title."""

    bell: bool = True
    notify: bool = True
    title: bool = True


def note(text: str, env: Mapping[str, str]) -> str:
    """The escape sequence for a desktop note, as this terminal understands it; empty where none is known to.

    tmux passes it on only as a wrapped one, and only with ``allow-passthrough on``; which terminal is behind it is
    not known there, so it gets the one that most have.
    """
    clean = cells_of(text).tobytes().decode("utf-32-le").replace("\0", "")
    if "TMUX" in env:
        return f"\x1bPtmux;\x1b\x1b]9;{clean}\x07\x1b\\"
    if "KITTY_WINDOW_ID" in env:
        return f"\x1b]99;;{clean}\x1b\\"
    if env.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm", "ghostty", "WarpTerminal") or "ConEmuPID" in env:
        return f"\x1b]9;{clean}\x07"
    if "VTE_VERSION" in env or env.get("TERM", "").startswith(("foot", "rxvt")):
        return f"\x1b]777;notify;bedside;{clean}\x07"
    return ""


def is_behind(app: App[None]) -> bool:
    """Whether the terminal has yet to take what it was sent: a slow line, or one that hangs.

    Textual's writer holds 30 writes and then lets the whole program wait. Nothing more is drawn before that.
    """
    writer = getattr(app._driver, "_writer_thread", None)
    queue = getattr(writer, "_queue", None)
    return queue is not None and queue.qsize() > 1


class Bell:
    """Rings once for each critical alert that comes while one watches, and keeps the window's title."""

    def __init__(self, app: App[None], signals: Signals) -> None:
        self._app, self._signals = app, signals
        self._rung: frozenset[int] | None = None
        self._title = ""

    def close(self) -> None:
        """Give the window back the title that it had."""
        if self._title:
            _write(self._app, _POP_TITLE)

    def meets_another(self) -> None:
        """Another run is shown: the alerts that it has are no news."""
        self._rung = None

    def hear(self, snapshot: Snapshot) -> None:
        """Alerts that were there when the live stream began are news to nobody, and do not ring."""
        urgent = frozenset(alert.id for alert in snapshot.alerts if is_urgent(alert))
        if self._rung is not None and (new := urgent - self._rung):
            self._ring(snapshot, new)
        self._rung = urgent | (self._rung or frozenset()) if snapshot.link is Link.LIVE else None
        title = title_for(snapshot)
        if self._signals.title and title != self._title:
            if not self._title:
                _write(self._app, _PUSH_TITLE)
            self._title = title
            set_title(self._app, title)

    def _ring(self, snapshot: Snapshot, new: frozenset[int]) -> None:
        if self._signals.bell:
            self._app.bell()
        alert = next(alert for alert in snapshot.alerts if alert.id in new)
        if self._signals.notify:
            name = snapshot.hello.name if snapshot.hello else ""
            _write(self._app, note(f"{SEVERITY[alert.severity]} {name}: {alert.rule}: {alert.summary}", os.environ))


def _write(app: App[None], sequence: str) -> None:
    driver = app._driver  # Textual has no public way to write past its screen
    if sequence and driver is not None and not app.is_headless:
        driver.write(sequence)


def crop_updates_on_the_left() -> None:
    """Let Textual send a changed span from where it begins.

    Textual 8.2 sends it from the left edge of the widget, because ``ChopsUpdate`` crops on the right only; over ssh
    that is 40 % of all bytes. Does nothing for a Textual whose class looks different.
    """
    from rich.control import Control
    from textual import _compositor

    update = getattr(_compositor, "ChopsUpdate", None)
    if update is None or getattr(update, "crops_left", False) or not hasattr(update, "render_segments"):
        return

    def render_segments(self: object, console: object) -> str:
        sequences: list[str] = []
        for y, x1, x2 in self.spans:  # type: ignore[attr-defined]
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):  # type: ignore[attr-defined]
                if strip is None or x >= x2 or end <= x1:
                    continue
                first = max(x1, x)
                sequences += (
                    Control.move_to(first, y).segment.text,
                    strip.crop(first - x, min(end, x2) - x).render(console),
                )
        return "".join(sequences)

    update.render_segments = render_segments
    update.crops_left = True
