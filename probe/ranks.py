"""How the ranks of a job apply a command on the same step, without a collective.

A thread on each rank speaks to the store of the process group over a connection of its own.

1. Rank 0 proposes a command. Each other rank answers with the step that it is at, and from then on does not pass a
   step boundary before it knows more.
2. Rank 0 fixes the step, two ahead of the furthest, or withdraws the proposal if an answer is missing. Whichever is
   written to the store first counts, on every rank.

A rank that dies after its answer leaves nothing half applied: the step lies two ahead of where it was, and no other
rank can get there without it. A rank to which nothing is proposed does one attribute look-up a step.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any, Final

import torch.distributed as dist

from probe import wire
from probe.commands import Refusal

_log = logging.getLogger("probe")

#: How long rank 0 waits for the answers to a proposal.
ANSWER_S = 10.0
#: Between two looks into the store: while nothing goes on, and while something does.
_IDLE_S, _BUSY_S = 0.1, 0.005
#: How long rank 0 waits at its end for the others to let go of the store, which may end with it.
_FAREWELL_S = 1.0
#: So many ranks may look that often; more look less often, for the sake of the one store.
_RANKS_AT_FULL_PACE = 64

_WITHDRAWN: Final = "withdrawn"
_OVER: Final = "over"


def rank_and_size() -> tuple[int, int]:
    """This process's place among the ranks; 0 of 1 where there is no process group."""
    is_distributed: bool = dist.is_available() and dist.is_initialized()
    return (dist.get_rank(), dist.get_world_size()) if is_distributed else (0, 1)


class Ranks:
    """One rank's part in it. Commands are proposed on rank 0 only.

    ``run_id`` is the same on all of them. ``steps`` tells the step that this rank has completed; ``held_at`` the one
    after which it is, or will be, paused. ``arm`` is called when a proposal has come: the next boundary must
    :meth:`wait`. ``plan`` is given a command and the step after which to apply it; ``refuse`` one that came to
    nothing, and why.
    """

    def __init__(
        self,
        run_id: str,
        *,
        steps: Callable[[], int],
        held_at: Callable[[], int | None],
        arm: Callable[[], None],
        plan: Callable[[int, wire.Command], None],
        refuse: Callable[[wire.Command, str], None],
    ) -> None:
        self.rank, self.size = rank_and_size()
        self.is_armed = False
        self._steps, self._held_at, self._on_arm, self._plan, self._refuse = steps, held_at, arm, plan, refuse
        self._store = own_store()
        self._prefix = f"bedside/{run_id}"
        self._proposals: deque[wire.Command] = deque()
        self._news = threading.Condition()
        self._is_open = True
        self._idle_s = _IDLE_S * max(1.0, self.size / _RANKS_AT_FULL_PACE)
        self._thread = threading.Thread(target=self._run, name="bedside-ranks", daemon=True)
        self._thread.start()

    def propose(self, command: wire.Command) -> None:
        """Raises :class:`Refusal` if the ranks cannot be asked at all."""
        if not self._thread.is_alive():
            raise Refusal("the store of the process group does not answer")
        for rank in range(1, self.size):
            if not self._store.check([self._key("here", rank)]):
                raise Refusal(f"rank {rank} has no probe; call probe.attach on every rank")
        with self._news:
            self._proposals.append(command)
            self._news.notify_all()

    def wait(self) -> None:
        """At a boundary: until it is known at which step the proposed command is applied, or that it is not."""
        with self._news:
            while self.is_armed:
                self._news.wait(1.0)

    def close(self) -> None:
        with self._news:
            self._is_open = False
            self._news.notify_all()
        self._thread.join(2 * _FAREWELL_S)
        while self._proposals:
            self._refuse(self._proposals.popleft(), "the run ended before its next step")

    # ------------------------------------------------------------------------ in the training thread, at a boundary

    def tell(self, command: wire.Command, what: str, value: bytes) -> None:
        """Leave something for another rank."""
        self._store.set(self._key(what, command.id, self.rank), value.hex())

    def ask(self, command: wire.Command, what: str, rank: int, timeout_s: float) -> bytes:
        """What that rank left; :class:`Refusal` if it does not come."""
        key = self._key(what, command.id, rank)
        if not self._comes(key, timeout_s):
            raise Refusal(f"rank {rank} did not answer within {timeout_s:.0f} s")
        return bytes.fromhex(self._store.get(key).decode())

    # ------------------------------------------------------------------------------------------- in its own thread

    def _run(self) -> None:
        try:
            first = self._first_number()
            self._store.set(self._key("here", self.rank), "1")
            for number in itertools.count(first):
                if not (self._lead(number) if self.rank == 0 else self._follow(number)):
                    return
        except Exception:  # noqa: BLE001  the store may fail in any way, and does when rank 0 ends first
            _log.debug("Bedside no longer hears of the other ranks.", exc_info=True)
        finally:
            self._disarm()
            with contextlib.suppress(Exception):
                self._store.delete_key(self._key("here", self.rank))
                self._store.set(self._key("left", self.rank), "1")

    def _first_number(self) -> int:
        """What was proposed before is no concern of a rank that comes later, or for the second time."""
        number = 0
        while self._store.check([key := self._key("command", number)]) and self._store.get(key).decode() != _OVER:
            number += 1
        return number

    def _say_farewell(self, number: int) -> None:
        """A rank that asks a store that is gone has torch print a page of warnings."""
        self._store.set(self._key("command", number), _OVER)
        there = [rank for rank in range(1, self.size) if self._store.check([self._key("here", rank)])]
        left = [self._key("left", rank) for rank in there]
        deadline = monotonic() + _FAREWELL_S
        while left and not self._store.check(left) and monotonic() < deadline:
            sleep(_BUSY_S)

    def _lead(self, number: int) -> bool:
        """Propose the next command and fix its step; False once closed."""
        with self._news:
            while self._is_open and not self._proposals:
                self._news.wait()
            is_open = self._is_open
        if not is_open:
            self._say_farewell(number)
            return False
        command = self._proposals.popleft()
        try:
            self._settle(number, command)
        except Exception:
            self._refuse(command, "the store of the process group does not answer; nothing was applied")
            raise
        return True

    def _settle(self, number: int, command: wire.Command) -> None:
        self._store.set(self._key("command", number), wire.encode(command).hex())
        deadline = monotonic() + ANSWER_S
        missing = [
            rank for rank in range(1, self.size)
            if not self._comes(self._key("step", number, rank), deadline - monotonic())
        ]  # fmt: skip
        if missing:
            self._fix(number, _WITHDRAWN)
            text = f"rank {missing[0]} did not answer within {ANSWER_S:.0f} s; nothing was applied"
            self._refuse(command, text)
            return
        self._arm()  # last of all, so that it does not wait for the others
        steps = [int(self._store.get(self._key("step", number, rank))) for rank in range(1, self.size)]
        held_at = self._held_at()
        step = held_at if held_at is not None else max(self._steps(), *steps) + 2
        if self._fix(number, str(step)) == str(step):
            self._plan(step, command)
        else:
            self._refuse(command, "another rank gave up waiting; nothing was applied")
        self._disarm()

    def _follow(self, number: int) -> bool:
        """Answer the next proposal and do what was fixed; False once closed."""
        key = self._key("command", number)
        while not self._store.check([key]):
            sleep(self._idle_s)
            if not self._is_open:
                return False
        proposed = self._store.get(key).decode()
        if proposed == _OVER:
            return False
        command: Any = wire.decode(bytes.fromhex(proposed))
        self._arm()
        self._store.set(self._key("step", number, self.rank), str(self._steps()))
        fixed = self._key("fixed", number)
        # Rank 0 decides within ANSWER_S unless it is gone.
        step = self._store.get(fixed).decode() if self._comes(fixed, 2 * ANSWER_S) else self._fix(number, _WITHDRAWN)
        if step != _WITHDRAWN:
            self._plan(int(step), command)
        self._disarm()
        return True

    def _fix(self, number: int, step: str) -> str:
        """What counts from now on: this, unless another rank was first."""
        return str(self._store.compare_set(self._key("fixed", number), "", step).decode())

    def _comes(self, key: str, timeout_s: float) -> bool:
        deadline = monotonic() + timeout_s
        while not self._store.check([key]):
            if monotonic() >= deadline or not self._is_open:
                return False
            sleep(_BUSY_S)
        return True

    def _key(self, *parts: object) -> str:
        return "/".join([self._prefix, *map(str, parts)])

    def _arm(self) -> None:
        with self._news:
            self.is_armed = True
        self._on_arm()

    def _disarm(self) -> None:
        with self._news:
            self.is_armed = False
            self._news.notify_all()


def own_store() -> Any:
    """The store of the process group, over a connection of its own where torch can make one.

    It is only ever asked what it has, never told to wait, so even a shared connection is not held up.
    """
    store: Any = dist.distributed_c10d._get_default_store()
    with contextlib.suppress(AttributeError, RuntimeError):
        return store.clone()
    return store
