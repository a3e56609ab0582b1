"""Commands as a monitor gives them, put where the sender's thread puts them."""

from __future__ import annotations

import itertools
import time

from probe import wire

_ids = itertools.count()


def command(run_id: str, name: str, **fields) -> wire.Command:
    """A fresh command; ``args`` and any other field as given."""
    return wire.Command(**{"id": f"c{next(_ids)}", "run_id": run_id, "name": name, "time_s": time.time(), **fields})


class Desk:
    """Gives commands to the training that a collecting sender belongs to, and finds their answers."""

    def __init__(self, sender) -> None:
        self.sender = sender

    def ask(self, name: str, **args) -> str:
        given = command(self.sender.hello.run_id, name, args=args, by="ada")
        self.sender.on_command(given)
        return given.id

    def answer(self, asked: str) -> wire.Ack | None:
        return next((ack for ack in self.sender.acks if ack.id == asked), None)

    def refusal(self, name: str, **args) -> str:
        """Why a command is refused at once."""
        ack = self.answer(self.ask(name, **args))
        assert ack is not None
        assert not ack.ok
        return ack.text

    def marks(self) -> list[wire.Mark]:
        return [mark for mark in self.sender.batch().marks if mark.kind == "command"]
