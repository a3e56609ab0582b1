"""The way out of the training process: one daemon thread, one DEALER socket, one recorder at the other end.

The training thread only appends to a deque. This thread wakes five times a second, or twice while nobody watches,
packs what has gathered into a batch, sends it, and keeps it until the recorder has acknowledged the commit. It sleeps
rather than waits for a signal, because a wake-up per step costs the training 5 to 15 % of a 1 ms step and a sleeping
thread costs nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from itertools import repeat

import msgspec
import zmq

from probe import runtime, wire
from probe.batch import BatchBuilder, Handed, drop_record, written
from probe.launcher import Launcher
from probe.outbox import Outbox

logger = logging.getLogger("probe")

#: Each time the thread wakes its caches are cold and it costs 0.4 ms, whatever it finds: 0.2 % of a core while
#: somebody watches, and less than half of that while nobody does.
WATCHED_S, UNWATCHED_S = 0.2, 0.5
#: At each so many wake-ups it looks for acknowledgements and commands: a look in vain costs as much as two steps do.
_LISTEN_EACH = 2
_HEARTBEAT_BUSY_S = 10.0
_HEARTBEAT_IDLE_S = 1.0
#: Records taken over in one wake-up, so that one that never gets ready cannot keep the thread busy.
_RECORDS_A_TURN = 16_384
#: Messages that ZeroMQ itself may hold; what it does not take stays in the outbox.
_HIGH_WATER_MARK = 64

#: ZeroMQ opens six for a context and its first socket, and one for each connection.
_DESCRIPTORS = 12


class Sender:
    """Owns the socket to the recorder, in one daemon thread that wakes two to five times a second.

    Nothing here raises into the training: what goes wrong is said once through ``logging.getLogger("probe")``.
    In a forked child the sender does nothing.
    """

    def __init__(
        self,
        hello: wire.Hello,
        *,
        heartbeat: Callable[[], wire.Heartbeat],
        on_command: Callable[[wire.Command], None] | None = None,
    ) -> None:
        records: deque[Handed] = deque()
        self._records = records
        #: Hand a record over. The only thing that the training thread calls per step.
        self.put: Callable[[Handed], None] = records.append
        #: CPU seconds that this thread has used so far.
        self.cpu_s = 0.0
        self._hello = hello
        self._heartbeat = heartbeat
        self._on_command = on_command
        self._acks: deque[wire.Ack] = deque()
        #: Whether the recorder can still be reached, or will be again.
        self.is_sending = True
        #: What the recorder runs for each new alarm; None leaves it to the environment.
        self.notify: str | None = None
        self._outbox = Outbox()
        self._last_step = 0
        self._noticed: set[str] = set()
        self._packed_s = self._beaten_s = self._next_listen_s = 0.0
        self._address = ""
        self._closing: tuple[wire.Goodbye, float] | None = None
        #: How long the thread sleeps: shorter as long as it is not known that nobody watches.
        self.wake_s = WATCHED_S
        self._alarm_clock = threading.Lock()
        self._alarm_clock.acquire()
        self._thread: threading.Thread | None = None
        _senders.add(self)

    def start(self) -> None:
        """Start the thread, and from it the recorder. Never raises."""
        launcher = Launcher(self._arguments, notify=self.notify)  # here: the script may change its environment next
        self._thread = threading.Thread(target=self._run, args=(launcher,), name="bedside-sender", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter is ending
            self._thread = None
            self._give_up(error)

    def reply(self, ack: wire.Ack) -> None:
        """What became of a command. From any thread."""
        self._acks.append(ack)

    def close(self, goodbye: wire.Goodbye, timeout_s: float = 2.0) -> None:
        """Send what is left, wait for its commit, say goodbye: ``timeout_s`` at most, and a little to close."""
        if self._thread is None or self._closing is not None:
            return
        self._closing = (goodbye, time.monotonic() + timeout_s)
        self._alarm_clock.release()
        self._thread.join(timeout_s + 0.5)
        self._thread = None

    # ---------------------------------------------------------------------------------------------- in the thread

    def _run(self, launcher: Launcher) -> None:
        try:
            with contextlib.suppress(OSError):  # no descriptors are left, say: the launcher tries again
                runtime.socket_folder()  # raises another error, if there can be none for good
            line = _Line(self._hello)
            with contextlib.closing(launcher), line:
                while self._closing is None:
                    self._turn(line, launcher)
                    self._alarm_clock.acquire(timeout=self.wake_s)
                self._finish(line, launcher, *self._closing)
        except Exception as error:  # noqa: BLE001  whatever it is, the training goes on
            self._give_up(error)

    def _arguments(self) -> list[str]:
        """For the next recorder, and where to reach it. Looked up for each: a logout takes the folder away.

        Raises OSError if there are too few descriptors.
        """
        _try_descriptors()
        folder = runtime.socket_folder()
        stem = runtime.socket_stem(self._hello.run_id, self._hello.rank, self._hello.started_s)
        self._address = f"ipc://{folder / stem}.in"
        return ["--run-id", stem, "--folder", str(folder), "--pid", str(os.getpid())]

    def _turn(self, line: _Line, launcher: Launcher) -> None:
        if launcher.poll():
            line.open(self._address)
            self._outbox.rewind()
        self._gather()
        now = time.monotonic()
        if now >= self._next_listen_s:
            self._next_listen_s = now + _LISTEN_EACH * self.wake_s
            self._listen(line)
        self._send(line)
        self._beat(line)
        self.cpu_s = time.thread_time()

    def _gather(self) -> None:
        """Pack the records that are ready. One that is not holds back those behind it: they are in order."""
        records = self._records
        if not records:
            return
        builder = BatchBuilder(self._last_step)
        left = min(len(records), _RECORDS_A_TURN)
        while left:
            taken = list(map(deque.popleft, repeat(records, min(left, wire.BATCH_STEPS - len(builder)))))
            if held_back := self._take_over(taken, builder):
                records.extendleft(reversed(held_back))
                break
            left -= len(taken)
            if len(builder) >= wire.BATCH_STEPS:
                builder = self._pack(builder)
        self._pack(builder)

    def _take_over(self, records: list[Handed], builder: BatchBuilder) -> list[Handed]:
        """Put them into the batch; those from the first one on that is not ready come back."""
        with contextlib.suppress(Exception):  # a bad one among them is told of below
            if builder.take_alike(records):
                return []
        return next((records[i:] for i, record in enumerate(records) if not self._took(record, builder)), [])

    def _took(self, record: Handed, builder: BatchBuilder) -> bool:
        try:
            return written(record, builder)
        except Exception as error:  # noqa: BLE001  one bad record must not cost those behind it
            self._log_once(f"Bedside left out a record that it could not read ({error!r}).")
            return True

    def _pack(self, builder: BatchBuilder) -> BatchBuilder:
        if not builder.is_empty:
            try:
                self._outbox.add(builder.build(self._outbox.next_seq))
                self._last_step = builder.last_step
            except (TypeError, ValueError, OverflowError) as error:  # a value that is no number
                self._log_once(f"Bedside left out {len(builder)} steps that it could not pack ({error}).")
            self._packed_s = time.monotonic()
        return BatchBuilder(self._last_step)

    def _listen(self, line: _Line) -> None:
        for message in line.received():
            if isinstance(message, wire.Committed):
                self._outbox.acknowledge(message.seq)
                self.wake_s = WATCHED_S if message.watched else UNWATCHED_S
            elif isinstance(message, wire.Notice):
                self._log_once(message.text)
            elif isinstance(message, wire.Command):
                self._obey(message)

    def _obey(self, command: wire.Command) -> None:
        if self._on_command is None:
            self.reply(wire.Ack(id=command.id, ok=False, text="this run takes no commands"))
            return
        try:
            self._on_command(command)
        except Exception as error:  # noqa: BLE001  the answer to a bad command is a refusal
            self.reply(wire.Ack(id=command.id, ok=False, text=f"{type(error).__name__}: {error}"))

    def _send(self, line: _Line) -> None:
        for payload in self._outbox.unsent():
            if not line.send(payload):
                break
        while self._acks and line.send(wire.encode(self._acks[0])):
            self._acks.popleft()

    def _beat(self, line: _Line) -> None:
        now = time.monotonic()
        is_idle = now - self._packed_s > _HEARTBEAT_IDLE_S
        if now - self._beaten_s < (_HEARTBEAT_IDLE_S if is_idle else _HEARTBEAT_BUSY_S):
            return
        self._beaten_s = now
        try:
            beat = msgspec.structs.replace(self._heartbeat(), dropped=self._outbox.dropped)
        except Exception as error:  # noqa: BLE001  a heartbeat is no reason to stop recording
            self._log_once(f"Bedside has no heartbeat to send ({error!r}).")
            return
        line.send(wire.encode(beat))

    def _finish(self, line: _Line, launcher: Launcher, goodbye: wire.Goodbye, deadline: float) -> None:
        """All records, then the goodbye, then the commit of it all, as far as the time goes."""

        def until(done: Callable[[], bool]) -> None:
            while not done() and time.monotonic() < deadline:
                self._next_listen_s = 0.0
                self._turn(line, launcher)
                line.wait(0.005)

        until(lambda: not self._records and self._outbox.is_sent)
        # It needs no answer of its own: once it is in the kernel's buffer the recorder reads it, whatever comes here.
        line.send(wire.encode(goodbye))
        until(lambda: not len(self._outbox))

    def _log_once(self, text: str) -> None:
        if text not in self._noticed:
            self._noticed.add(text)
            logger.warning("%s", text)

    def _give_up(self, error: BaseException) -> None:
        """Stop sending, and go on emptying the deque: who hands records over may have kept the old ``put``."""
        logger.warning("Bedside stops recording this run (%s). Training goes on.", str(error) or type(error).__name__)
        self._discard()
        while self._closing is None and threading.current_thread() is self._thread:
            self._records.clear()
            time.sleep(1.0)

    def _discard(self) -> None:
        """From here on records are dropped where they are handed over."""
        self.is_sending = False
        self.put = drop_record
        self._records.clear()


class _Line:
    """The socket. It is opened anew for each recorder, so that nothing of the old one's queue is left."""

    def __init__(self, hello: wire.Hello) -> None:
        self._hello = wire.encode(hello)
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._socket is not None:
            self._socket.close(linger=200)
        if self._context is not None:
            self._context.term()

    def open(self, address: str) -> None:
        if self._socket is not None:
            self._socket.close(linger=0)
        if self._context is None:
            self._context = zmq.Context()
        socket = self._socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.SNDHWM, _HIGH_WATER_MARK)
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.connect(address)
        self.send(self._hello)

    def send(self, payload: bytes) -> bool:
        """False if it cannot be taken now."""
        if self._socket is None:
            return False
        try:
            self._socket.send(payload, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def received(self) -> list[wire.Message]:
        """What has come in, without waiting."""
        messages: list[wire.Message] = []
        # EVENTS rather than poll(0), which makes a Poller each time and costs three times as much.
        while self._socket is not None and int(self._socket.get(zmq.EVENTS)) & zmq.POLLIN:
            message = wire.decode(self._socket.recv(zmq.NOBLOCK))
            if message is not None:
                messages.append(message)
        return messages

    def wait(self, seconds: float) -> None:
        """Until something comes in, at most so long."""
        if self._socket is None:
            time.sleep(seconds)
        else:
            self._socket.poll(int(seconds * 1000))


def _try_descriptors() -> None:
    """Raise OSError if there are fewer left than ZeroMQ needs, which ends the process where it misses one."""
    with contextlib.ExitStack() as taken:
        for fd in (fd for _ in range(_DESCRIPTORS // 2) for fd in os.pipe()):
            taken.callback(os.close, fd)


_senders: weakref.WeakSet[Sender] = weakref.WeakSet()


def _forget_in_child() -> None:
    for sender in list(_senders):
        sender._thread = None  # it does not exist in a forked child
        sender._discard()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
