"""The keys that do something to the run: choose, confirm, send, and say what became of it."""

from __future__ import annotations

import contextlib
import threading

from monitor.app.base import SAID_S, Base
from monitor.app.interventions import suggested, title
from monitor.app.panels.alerts import meant_alert
from monitor.app.screens.intervene import ASKED, ConfirmScreen, MenuScreen, TypeScreen
from monitor.model import Ack, Action, RunState
from monitor.words import meant


class Intervening(Base):
    """Nothing is sent without a confirmation, and nothing waits for the run but a thread of its own."""

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
        return suggested(self.snapshot, meant_alert(self._stage.panels["alerts"], self.scene()))

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
