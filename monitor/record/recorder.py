"""The recorder of one run: takes in what the training process sends, keeps it, judges it, serves it.

One thread and one loop. A turn takes in what has come, commits it, acknowledges it, publishes it, and sends a part
of each history that a monitor waits for; so no question, however large, delays the record. It ends by itself when
the run is over and nobody watches.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import msgspec
import zmq

from monitor.keys import Keyring
from monitor.record import ending, registry
from monitor.record.audience import Audience
from monitor.record.bell import Bell
from monitor.record.commands import Commands
from monitor.record.desk import HistoryDesk
from monitor.record.door import Door
from monitor.record.entry import Entry
from monitor.record.farewell import Farewell
from monitor.record.judge import Judge
from monitor.record.keeper import Keeper
from monitor.record.naming import run_path
from monitor.record.overview import Overviews
from monitor.record.pages import first_seq
from monitor.record.replies import Replies
from monitor.record.sockets import Sockets
from monitor.rows import flaw, not_before
from probe import runtime, wire

#: Frames taken in before the next commit.
_FRAMES_A_TURN = 64
#: The longest id that is a question's or a command's: it comes back with each answer.
_ID_CHARS = 64

#: Between two acknowledgements: each costs the training process a little, and one stands for all before it.
_ACK_S = 0.2

_TICK_MS = 250
_BUSY_MS = 10
_SILENCE_S = 1.0
_GRACE_S = 1.0
_FULL_DISK_S = 600.0


@dataclass(frozen=True)
class Setup:
    """What the probe tells its recorder. ``ready`` is called once the sockets are there."""

    stem: str
    folder: Path
    pid: int
    pidfd: int | None = None
    ready: Callable[[], None] = lambda: None


def record(setup: Setup) -> None:
    """Record until the run is over and nobody watches."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets = Sockets(context, setup.stem, setup.folder)
    try:
        sockets.bind()
        recorder = Recorder(setup, context, sockets)
        signal.signal(signal.SIGTERM, recorder.leave_when_over)
        setup.ready()
        recorder.run()
    finally:
        context.destroy(linger=500)
        sockets.remove()


class Recorder:
    """See the module. Frames from anyone but the training process that said Hello are counted and passed over."""

    def __init__(self, setup: Setup, context: zmq.Context[zmq.Socket[bytes]], sockets: Sockets) -> None:
        self._setup = setup
        self._sockets = sockets
        self._watch = ending.Watch(setup.pid, setup.pidfd)
        self._farewell = Farewell(self._watch)
        self._in, self._live, self._ask = sockets.incoming, sockets.live, sockets.ask
        self._door = Door(context, self._ask, self._live, Keyring(registry.home() / "keys"))
        self._audience = Audience(self._live, sockets.cut_live, self._door)
        self._poller = zmq.Poller()
        for source in (self._in, self._live, self._ask, self._door.requests, setup.pidfd):
            if source is not None:
                self._poller.register(source, zmq.POLLIN)
        self._replies = Replies(self._ask, self._notify)
        self._desk = HistoryDesk(self._replies)
        self._overviews = Overviews()
        self._judge = Judge(self._notify)
        self._bell = Bell(os.environ.get("BEDSIDE_NOTIFY", ""), self._notify)
        self._keeper: Keeper | None = None
        self._hello: wire.Hello | None = None
        self._hello_frame = b""
        self._processes: registry.Processes | None = None
        self._entry = Entry(self._notify)
        self._sender = b""
        self._commands = Commands(self._to_training, self._replies.put, self._notify)
        self._early_notices: list[bytes] = []
        self._unpublished: list[bytes] = []
        self._is_ack_due = False
        self._next_ack_s = 0.0
        self._beat: wire.Heartbeat | None = None
        self.bad_frames = 0
        self._heard_s = self._beaten_s = time.monotonic()
        self._must_leave = False

    def leave_when_over(self, _signal: int, _frame: FrameType | None) -> None:
        """On SIGTERM: as long as the training goes on it is recorded, but nobody is waited for after it."""
        self._must_leave = True

    def run(self) -> None:
        while not self._is_done():
            self._poller.poll(self._patience_ms())
            self._take_in()
            self._commit()
            self._publish()
            self._door.turn()
            self._audience.turn()
            self._answer()
            self._replies.turn()
            if not (self._judge.is_behind and self._is_serving):  # what it judges again can wait
                self._publish_alerts(self._judge.turn())
            self._bell.turn()
            for command, why in self._judge.reflexes():
                self._commands.reflex(command, why, is_over=self._is_ending)
            self._commit()
            if self._keeper is not None:
                self._overviews.turn()
                self._desk.turn(self._keeper, self._hello_frame, self._overviews)
            self._stay_in_reach()
            self._keep_beating()
            self._see_the_end()
        if self._keeper is not None:
            self._keeper.close()
        self._entry.remove()

    def _patience_ms(self) -> int:
        if self._judge.is_behind or self._overviews.is_behind or self._is_serving:
            return 0
        is_leaving = self._farewell.is_gone and self._farewell.over_s is None
        is_waiting = self._desk.is_blocked or not self._replies.is_idle or is_leaving
        return _BUSY_MS if is_waiting else _TICK_MS

    @property
    def _is_serving(self) -> bool:
        """Whether somebody takes a history as fast as it is sent."""
        return not (self._desk.is_idle or self._desk.is_blocked)

    # ------------------------------------------------------------------------------- from the training process

    def _take_in(self) -> None:
        for _ in range(_FRAMES_A_TURN):
            try:
                frames = self._in.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            message = wire.decode(frames[1]) if len(frames) == 2 else None
            if message is None or flaw(message) is not None:
                self.bad_frames += 1
            elif isinstance(message, wire.Hello) and self._is_ours(message):
                self._greet(frames[0], message, frames[1])
            elif frames[0] != self._sender:
                self.bad_frames += 1
            else:
                self._heard_s = time.monotonic()
                self._receive(message, frames[1])

    def _receive(self, message: wire.Message, frame: bytes) -> None:
        if isinstance(message, wire.Batch):
            self._take_batch(message, frame)
        elif isinstance(message, wire.Heartbeat):
            self._beat, self._beaten_s = message, self._heard_s
            self._live.send(frame)
        elif isinstance(message, wire.Goodbye):
            self._farewell.hear(message)
            self._is_ack_due = True
            if self._keeper is not None:
                self._keeper.goodbye(frame)
        elif not (isinstance(message, wire.Ack) and self._commands.answer(message, frame)):
            self.bad_frames += 1

    def _is_ours(self, hello: wire.Hello) -> bool:
        return self._setup.stem == runtime.socket_stem(hello.run_id, hello.rank, hello.started_s)

    def _greet(self, sender: bytes, hello: wire.Hello, frame: bytes) -> None:
        self._sender = sender
        if frame == self._hello_frame:
            return
        self._hello = self._commands.run = hello
        self._hello_frame = frame
        processes = registry.Processes(
            host=registry.hostname(),
            pid=self._setup.pid,
            pid_ticks=self._watch.ticks,
            recorder_pid=os.getpid(),
            recorder_ticks=registry.start_ticks(os.getpid()),
            where=registry.where(),
        )
        if self._keeper is None:
            keeper = self._keeper = Keeper(run_path(hello), self._notify, self._moved)
            for notice in self._early_notices:
                keeper.notice(notice)
            self._look_back(hello, keeper)
            if said := self._door.open(hello):
                self._notify(said)
        self._keeper.hello(frame, processes)
        self._live.send(frame)
        self._processes = processes
        self._register()

    def _look_back(self, hello: wire.Hello, keeper: Keeper) -> None:
        """Begin with what another recorder may have left."""
        self._bell.begin(hello, [told for f in keeper.others() if isinstance(told := wire.decode(f), wire.Alert)])
        self._judge.begin(hello, keeper.recorded)
        self._overviews.begin(keeper.recorded)

    def _moved(self, has_more: bool) -> None:
        if has_more and self._hello is not None and self._keeper is not None:
            self._look_back(self._hello, self._keeper)
        self._register()

    def _take_batch(self, batch: wire.Batch, frame: bytes) -> None:
        keeper = self._keeper
        if keeper is None:
            self.bad_frames += 1
            return
        self._is_ack_due = True
        if batch.seq <= keeper.last_seq:
            keeper.replace(batch)
            return
        missing = first_seq(batch) - keeper.last_seq - 1
        if missing > 0 and keeper.path is not None:
            self._notify(f"{missing} batches before step {batch.start} never came.")
        elif missing < 0:
            batch = keeper.rest_of(batch)
            frame = wire.encode(batch)
        if (raised := not_before(batch, keeper.last_step)) is not batch:
            batch, frame = raised, wire.encode(raised)
        keeper.batch(batch, frame)
        self._judge.feed(batch)
        self._overviews.feed(batch)
        self._unpublished.append(frame)

    def _commit(self) -> None:
        if self._keeper is None:
            return
        self._keeper.commit()
        now = time.monotonic()
        if self._is_ack_due and self._keeper.is_clean and (now >= self._next_ack_s or self._farewell.is_told):
            self._is_ack_due = False
            self._next_ack_s = now + _ACK_S
            self._to_sender(wire.Committed(seq=self._keeper.last_seq, watched=self._audience.is_there))

    def _to_sender(self, message: wire.Message) -> None:
        self._to_training(wire.encode(message))

    def _to_training(self, frame: bytes) -> None:
        if self._sender:
            self._in.send_multipart([self._sender, frame], zmq.NOBLOCK)

    # --------------------------------------------------------------------------------------------- to the monitors

    def _answer(self) -> None:
        for _ in range(_FRAMES_A_TURN):
            try:
                frames = self._ask.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            message = wire.decode(frames[1]) if len(frames) == 2 else None
            if not isinstance(message, (wire.HistoryRequest, wire.Command)) or len(message.id) > _ID_CHARS:
                self.bad_frames += 1
            elif isinstance(message, wire.HistoryRequest):
                self._desk.ask(frames[0], message)
            else:
                self._commands.pass_on(frames[0], message, frames[1], is_over=self._is_ending)

    def _publish(self) -> None:
        """The batches that have come, now that they are on disk: no screen shows what the file may never hold."""
        for frame in self._unpublished:
            self._live.send(frame)
        self._unpublished.clear()

    def _publish_alerts(self, alerts: list[wire.Alert]) -> None:
        for alert in alerts:
            frame = wire.encode(alert)
            self._live.send(frame)
            self._bell.ring(alert)
            if self._keeper is not None:
                self._keeper.alert(alert, frame)

    def _notify(self, text: str) -> None:
        """Say something to the person: on every screen, in the run file and in the log of the training."""
        notice = wire.Notice(text=text, time_s=time.time())
        frame = wire.encode(notice)
        self._live.send(frame)
        self._to_sender(notice)
        if self._keeper is not None:
            self._keeper.notice(frame)
        else:
            self._early_notices.append(frame)

    def _stay_in_reach(self) -> None:
        """Restore the sockets' names. Who has not come in by then knows the old ones only: a new recorder is told."""
        before = self._sockets.address("in")
        if self._sockets.restored():
            if self._hello is None and self._sockets.address("in") != before:
                gone = Path(before).parent.name
                raise RuntimeError(f"{gone} was taken away before the training process had come in")
            self._register()
        self._entry.turn(is_heard=time.monotonic() - self._heard_s < 2 * _SILENCE_S)

    def _keep_beating(self) -> None:
        """While the training process is there but says nothing, that this line is there, at least."""
        now = time.monotonic()
        silent = now - max(self._heard_s, self._beaten_s) > _SILENCE_S
        is_there = not self._farewell.is_gone and self._farewell.over_s is None
        if silent and is_there and self._beat is not None:
            self._beaten_s = now
            self._live.send(wire.encode(msgspec.structs.replace(self._beat, time_s=time.time())))

    def _register(self) -> None:
        """Say where the run is served; again whenever that has changed."""
        hello, processes = self._hello, self._processes
        if hello is None or processes is None or self._keeper is None:
            return
        run = registry.LiveRun(
            run_id=hello.run_id,
            name=hello.name,
            host=processes.host,
            pid=processes.pid,
            recorder_pid=processes.recorder_pid,
            started_s=hello.started_s,
            file=str(self._keeper.path or ""),
            live=self._sockets.address("live"),
            ask=self._sockets.address("ask"),
            interpreter=hello.interpreter,
            rank=hello.rank,
            world_size=hello.world_size,
            pid_ticks=processes.pid_ticks,
            recorder_ticks=processes.recorder_ticks,
            where=processes.where,
        )
        self._entry.say(run)

    # ----------------------------------------------------------------------------------------------------- the end

    @property
    def _is_ending(self) -> bool:
        return self._farewell.is_told or self._farewell.is_gone

    def _see_the_end(self) -> None:
        was_gone, was_said = self._farewell.is_gone, self._farewell.is_said
        goodbye = self._farewell.turn(self._heard_s, self._keeper.last_step if self._keeper else 0)
        if self._farewell.is_gone and not was_gone and self._setup.pidfd is not None:
            self._poller.unregister(self._setup.pidfd)  # it stays readable from here on
        if self._farewell.over_s is not None:
            self._commands.end()
        if goodbye is None:
            return
        if not was_said:
            self._publish_alerts(self._judge.finish(goodbye))
        frame = wire.encode(goodbye)
        self._live.send(frame)
        if self._keeper is not None:
            self._keeper.goodbye(frame)
            self._commit()

    def _is_done(self) -> bool:
        over_s = self._farewell.over_s
        if over_s is None or not self._bell.is_idle:
            return False
        now = time.monotonic()
        if self._keeper is not None and not self._keeper.is_clean and now - over_s < _FULL_DISK_S:
            return False
        if self._must_leave:
            return True
        is_watched = self._audience.is_there or not self._desk.is_idle
        return not is_watched and now - max(over_s, self._audience.left_s) > _GRACE_S
