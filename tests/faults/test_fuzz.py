"""Hostile frames, made by type and made of bytes: counted, passed over, and the next good one is taken as ever."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time

import hostile
import msgspec
import numpy as np
import psutil
import pytest
import zmq
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from samples import SAMPLES
from toy_run import ROOT, Monitor, points, until

from monitor.feeds.live import LiveFeed
from monitor.record import registry
from monitor.rows import flaw
from monitor.session import Session
from monitor.tail import Tail, printable
from probe import packing, runtime, wire

#: A fixed count of examples, the same each time, and none made smaller: the monitor's are slow to repeat.
EXAMPLES = settings(
    max_examples=50,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
FRAMES = [wire.encode(message) for message in SAMPLES.values()]
GROWTH_BYTES = 48 * 1024 * 1024


class Recorder:
    """A real recorder whose training process is this test."""

    def __init__(self, home) -> None:
        self.run_id = secrets.token_hex(4)
        folder = runtime.socket_folder()
        command = [sys.executable, "-m", "monitor.record", "--run-id", self.run_id, "--folder", str(folder)]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "BEDSIDE_HOME": str(home)}
        subprocess.run([*command, "--pid", str(os.getpid())], env=env, check=True)
        self._context = zmq.Context()
        self._context.linger = 0
        self.training = self.socket("in")
        self.hello = wire.Hello(schema=1, run_id=self.run_id, name="fuzzed", started_s=time.time(), control=["lr"])
        self.send(self.hello)
        self.live = until(lambda: next(iter(registry.live_runs()), None))
        self._monitor = Monitor(self.live)
        self._process = psutil.Process(self.live.recorder_pid)
        self.seq = 0
        self.take_a_step()
        self._bytes = self._process.memory_info().rss

    def socket(self, name: str) -> zmq.Socket:
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.connect(f"ipc://{runtime.socket_folder() / self.run_id}.{name}")
        return socket

    def send(self, message: wire.Message) -> None:
        self.training.send(wire.encode(message))

    def take_a_step(self) -> int:
        """A good batch; the number that it holds, once a monitor has been given it."""
        self.send(self.hello)
        self.seq += 100_000
        loss = wire.Column(values=packing.pack_floats([self.seq]))
        good = {"rows": 1, "times_s": packing.pack_floats([2e9]), "scalars": {"user/good": loss}}
        self.send(wire.Batch(seq=self.seq, first_seq=self.seq, start=self.seq, **good))
        until(lambda: self.seq in self.history("user/good")[1])
        return self.seq

    def history(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """What a monitor is given of a series: steps and values."""
        return points(self._monitor.history()[1], key)

    def check(self) -> None:
        """It is the one that it was, has not grown, and goes on recording."""
        assert self.take_a_step() == self.seq
        assert self._process.is_running()
        assert self._process.memory_info().rss - self._bytes < GROWTH_BYTES

    def close(self) -> None:
        self._monitor.close()
        self._context.destroy(linger=0)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.live.recorder_pid, signal.SIGKILL)
        for path in runtime.socket_folder().glob(f"{self.run_id}.*"):
            path.unlink()


@pytest.fixture
def recorder(tmp_path, monkeypatch):
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    recorder = Recorder(tmp_path / "home")
    yield recorder
    recorder.close()


def test_a_batch_that_begins_below_the_last_step_is_raised_to_it(recorder):
    last = recorder.seq
    for number, steps in enumerate(([last + 2], [last + 1, last + 3]), 1):
        values = packing.pack_floats([float(step) for step in steps])
        recorder.send(
            wire.Batch(
                seq=last + number,
                start=steps[0],
                rows=len(steps),
                steps=packing.pack_steps(steps),
                times_s=packing.pack_floats([2e9] * len(steps)),
                scalars={"user/late": wire.Column(values=values)},
            )
        )
    until(lambda: len(recorder.history("user/late")[0]) == 3)

    steps, values = recorder.history("user/late")

    assert steps.tolist() == [last + 2, last + 2, last + 3]
    assert values.tolist() == [last + 2, last + 1, last + 3]


def in_turn(take) -> None:
    """Give hostile messages of every type to ``take``; those that end the run last."""
    for name in sorted(wire.MESSAGES, key=lambda name: name == "goodbye"):
        EXAMPLES(given(hostile.messages(wire.MESSAGES[name]))(take))()


def test_the_recorder_takes_hostile_messages_of_its_own_training(recorder):
    def send(message):
        if isinstance(message, wire.Hello):
            message = msgspec.structs.replace(message, run_id=recorder.run_id, rank=0)
        elif isinstance(message, wire.Batch):  # a number far ahead would be believed
            recorder.seq += 1
            message = msgspec.structs.replace(message, seq=recorder.seq, first_seq=recorder.seq)
        recorder.send(message)

    in_turn(send)

    recorder.check()


def test_the_recorder_takes_batches_whose_lengths_are_right_and_nothing_else(recorder):
    @EXAMPLES
    @given(hostile.batches())
    def send(batch):
        recorder.seq += 1
        recorder.send(msgspec.structs.replace(batch, seq=recorder.seq, first_seq=recorder.seq))

    send()

    recorder.check()


@pytest.mark.parametrize("door", ["in", "ask"])
def test_the_recorder_takes_hostile_messages_of_strangers(recorder, door):
    stranger = recorder.socket(door)
    in_turn(lambda message: stranger.send(wire.encode(message)))

    recorder.check()


@pytest.mark.parametrize("door", ["in", "ask"])
def test_the_recorder_takes_broken_bytes(recorder, door):
    stranger = recorder.socket(door)
    for frame in hostile.mutated(FRAMES, 5000, seed=1):
        stranger.send(frame)
        if door == "in":
            recorder.training.send(frame)

    recorder.check()


def test_a_message_that_is_too_large_costs_its_sender_the_line_and_nobody_else(recorder):
    stranger = recorder.socket("ask")
    for _ in range(20):
        stranger.send(bytes(8 * 1024 * 1024))

    recorder.check()


@pytest.mark.parametrize("name", wire.MESSAGES)
def test_a_monitor_takes_hostile_messages(name):
    @EXAMPLES
    @given(hostile.messages(wire.MESSAGES[name]), hostile.messages(wire.MESSAGES[name]))
    def show(one, other):
        hostile_ones = [message for message in (one, other) if flaw(message) is None]
        feed = [SAMPLES["hello"], SAMPLES["batch"], *hostile_ones, SAMPLES["goodbye"]]
        session = Session(feed)
        session._run()
        lines = list(Tail().lines(feed))

        assert session.error is None
        assert session.latest().hello is not None
        assert [line for line in lines if line != printable(line)] == []

    show()


def test_a_monitor_takes_batches_whose_lengths_are_right_and_nothing_else():
    @EXAMPLES
    @given(hostile.batches(), hostile.batches())
    def show(one, other):
        numbered = [msgspec.structs.replace(each, seq=seq, first_seq=seq) for seq, each in enumerate((one, other), 1)]
        feed = [SAMPLES["hello"], *(batch for batch in numbered if flaw(batch) is None)]
        session = Session(feed)
        session._run()
        lines = list(Tail().lines(feed))

        assert session.error is None
        assert [line for line in lines if line != printable(line)] == []
        for series in session.latest().series.values():
            series.tail(10)

    show()


def test_a_feed_counts_broken_frames_of_a_recorder_and_reads_on(tmp_path):
    context = zmq.Context()
    context.linger = 0
    live, ask = context.socket(zmq.XPUB), context.socket(zmq.ROUTER)
    live.setsockopt(zmq.SNDHWM, 0)
    live.bind(f"ipc://{tmp_path}/l")
    ask.bind(f"ipc://{tmp_path}/a")
    feed = LiveFeed(f"ipc://{tmp_path}/l", f"ipc://{tmp_path}/a")
    events = iter(feed)
    next(events)
    assert live.poll(10_000) is not None
    broken = list(hostile.mutated(FRAMES, 2000, seed=3))
    last = wire.Notice(text="the last one")
    live.recv()
    for frame in broken:
        live.send(frame)
    live.send(wire.encode(last))

    for event in events:
        if ask.poll(0):
            client, _ = ask.recv_multipart()
            for frame in [*broken[:500], wire.encode(wire.History(id="x", frames=broken[500:1000], done=True))]:
                ask.send_multipart([client, frame])
        if event == last:
            break
    feed.close()
    context.destroy(linger=0)

    assert feed.bad_frames > 500


def train(home) -> subprocess.Popen:
    command = [sys.executable, ROOT / "tests" / "e2e" / "small_training.py", "--steps", "400", "--pace-s", "0.01"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "BEDSIDE_HOME": str(home)}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_commands_of_the_right_name_and_hostile_arguments_leave_a_training_bit_for_bit(toy_run, tmp_path):
    alone, bothered = train(tmp_path / "alone"), train(toy_run.home)
    toy_run.processes += [alone, bothered]
    live = until(lambda: next(iter(registry.live_runs()), None), timeout_s=60.0)
    toy_run.recorders.add(live.recorder_pid)
    monitor = Monitor(live)
    sent, answers = [], []

    @settings(EXAMPLES, max_examples=60)
    @given(hostile.messages(wire.Command), st.sampled_from(["lr", "note", "undo", "detail", "pin", "\x1b[2J"]))
    def command(order, name):
        id_ = secrets.token_hex(8)
        order = msgspec.structs.replace(order, id=id_, run_id=live.run_id, name=name, time_s=time.time())
        monitor.ask_socket.send(wire.encode(order))
        sent.append(id_)
        while len(sent) % 4 == 0 and len(answers) < len(sent):
            answers.append(monitor.answer())

    command()
    answers += [monitor.answer() for _ in sent[len(answers) :]]
    monitor.close()
    (digest, _), (digest_bothered, said) = alone.communicate(timeout=60), bothered.communicate(timeout=60)

    assert {answer.id for answer in answers} == set(sent)
    assert {answer.ok for answer in answers} == {False}
    assert (bothered.returncode, digest_bothered) == (0, digest)
    assert "Traceback" not in said
