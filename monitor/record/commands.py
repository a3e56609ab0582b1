"""Commands on their way to the training and their answers on the way back, for monitors and for reflexes."""

from __future__ import annotations

from collections.abc import Callable

from probe import wire

#: How many may wait for an answer.
_MAX_WAITING = 256


class Commands:
    """Passes commands on to the training of one run, and the answers to whoever asked.

    ``to_training`` sends a frame there, ``to_client`` one to a monitor. What becomes of a reflex is said with
    ``notify`` if it is refused: nobody waits for its answer. ``run`` is what the training said Hello with.
    """

    def __init__(
        self,
        to_training: Callable[[bytes], None],
        to_client: Callable[[bytes, bytes], None],
        notify: Callable[[str], None],
    ) -> None:
        self._to_training, self._to_client, self._notify = to_training, to_client, notify
        self.run: wire.Hello | None = None
        self._clients: dict[str, bytes] = {}
        self._reflexes: dict[str, wire.Command] = {}

    def pass_on(self, client: bytes, command: wire.Command, frame: bytes, *, is_over: bool) -> None:
        """From a monitor."""
        if refusal := self._refusal(command, is_over):
            self._refuse(client, command.id, refusal)
        else:
            self._clients[command.id] = client
            self._to_training(frame)

    def reflex(self, command: wire.Command, why: str, *, is_over: bool) -> None:
        """From the judge; ``why`` is said first."""
        if self._refusal(command, is_over) is None:
            self._notify(why)
            self._reflexes[command.id] = command
            self._to_training(wire.encode(command))

    def answer(self, ack: wire.Ack, frame: bytes) -> bool:
        """From the training; False if nobody waits for it."""
        if (client := self._clients.pop(ack.id, None)) is not None:
            self._to_client(client, frame)
        elif (command := self._reflexes.pop(ack.id, None)) is not None:
            if not ack.ok:
                self._notify(f"The {command.by} came to nothing: {command.name} was refused: {ack.text}.")
        else:
            return False
        return True

    def end(self) -> None:
        """The run is over, and whoever still waits is told."""
        for id_, client in self._clients.items():
            self._refuse(client, id_, "the run is over")
        self._clients.clear()
        self._reflexes.clear()

    def _refusal(self, command: wire.Command, is_over: bool) -> str | None:
        run = self.run
        if run is None or command.run_id != run.run_id:
            return f"this is not run {command.run_id[:40]!r}"
        if not run.control:
            return "this run takes no commands"
        if command.name not in run.control:
            return f"this run does not know {command.name[:40]!r}; it takes {', '.join(run.control)}"
        if is_over:
            return "the run is over"
        if len(self._clients) >= _MAX_WAITING:
            return f"{_MAX_WAITING} commands are waiting for an answer"
        return None

    def _refuse(self, client: bytes, id_: str, text: str) -> None:
        self._to_client(client, wire.encode(wire.Ack(id=id_, ok=False, text=text)))
