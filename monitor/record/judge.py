"""The engine as the recorder runs it: a fault in it is said once, and never costs a record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from monitor.record.reflexes import Reflexes, unknown
from probe import wire

if TYPE_CHECKING:
    from monitor.engine import Engine

#: Pages of the past that are judged again in one turn, after a recorder has taken over from another.
_PAGES_A_TURN = 8


class Judge:
    """Feeds the engine what has come since the last turn.

    A recorder that takes over lets the engine see the run from its beginning, a few pages a turn, so that serving
    and recording go on meanwhile; the engine then says the same as it did before, with the same ids.
    """

    def __init__(self, on_fault: Callable[[str], None], make_engine: Callable[[], Engine] | None = None) -> None:
        self._on_fault = on_fault
        self._make_engine = make_engine or (lambda: _engine(on_fault))
        self._engine: Engine | None = None
        self._reflexes = Reflexes()
        self._past: Callable[[int], Iterable[wire.Batch]] | None = None
        self._past_seq = 0
        self._new: list[wire.Batch] = []

    def begin(self, hello: wire.Hello, past: Callable[[int], Iterable[wire.Batch]]) -> None:
        """Judge the run from its first batch on; ``past(seq)`` gives all that is recorded after ``seq``."""
        with self._guard():
            self._engine = self._make_engine()
            self._engine.hello(hello)
            self._reflexes = Reflexes(hello)
            for said in unknown(hello):
                self._on_fault(said)
            self._past, self._past_seq, self._new = past, 0, []

    @property
    def is_behind(self) -> bool:
        """Whether some of what is recorded is still to be judged."""
        return self._past is not None

    def feed(self, batch: wire.Batch) -> None:
        """One more batch, which is recorded by the time of the next turn."""
        if self._past is None and self._engine is not None:
            self._new.append(batch)

    def turn(self) -> list[wire.Alert]:
        """The alerts that opened, changed or resolved."""
        changed: list[wire.Alert] = []
        with self._guard():
            for batch in self._due():
                if self._engine is not None:
                    told = self._engine.feed(batch)
                    self._reflexes.see(told, batch.marks)
                    changed += told
        return changed

    def reflexes(self) -> list[tuple[wire.Command, str]]:
        """The commands that the training has asked for in advance and that are due now, each with the reason."""
        return [] if self.is_behind else self._reflexes.due()

    def finish(self, goodbye: wire.Goodbye) -> list[wire.Alert]:
        """The end of the run: all that is left, and what only the end tells."""
        changed = self.turn()
        while self.is_behind:
            changed += self.turn()
        with self._guard():
            if self._engine is not None:
                changed += self._engine.finish(goodbye)
        return changed

    def _due(self) -> list[wire.Batch]:
        if self._past is None:
            due, self._new = self._new, []
            return due
        due = list(islice(self._past(self._past_seq), _PAGES_A_TURN))
        if due:
            self._past_seq = due[-1].seq
        else:
            self._past = None
        return due

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Any exception in the body ends the judging: an engine that has raised is in no known state."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  whatever a rule raises, the run is recorded
            self._engine = self._past = None
            self._new = []
            self._on_fault(
                f"Alerts are off for this run: the engine failed ({type(error).__name__}: {error}). Recording goes "
                "on. Please report this."
            )


def _engine(on_fault: Callable[[str], None]) -> Engine:
    """Imported this late so that a rule that cannot be imported is a fault of the engine like any other."""
    from monitor.engine import Engine

    return Engine(on_fault=on_fault)
