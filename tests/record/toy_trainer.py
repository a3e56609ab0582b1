"""A training process without torch: drives a Sender with plain records, then ends in the way it is told.

usage: toy_trainer.py STEPS END [PACE_S]

In the environment: LIMIT_BYTES is what may wait in the outbox, HIDE a package that the recorder shall not find,
SHADOWS a folder of modules that it must not take, ENDPOINT and INSECURE how it is open to TCP, GROUP the control
group to be in, SET_BACK_AT the step at which the clock goes back by an hour, WIDE how many scalars
more a step has, SOCKETS the folder for its recorder's sockets as long as it is there, MOVES a folder
to go to once the sender has started, with another timezone and no BEDSIDE_HOME, RANK its rank.
"""

import ctypes
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from probe import launcher, outbox, runtime, wire
from probe.sender import Sender

KEYS = ("train/loss", "grad/norm", "lr/0", "time/step_s")
WIDE_KEYS = [f"wide/{number}" for number in range(int(os.environ.get("WIDE", "0")))]


def value(key: str, step: int) -> float:
    """The same here and in the test that reads it back; every 50th loss is NaN, the learning rate a constant."""
    if key == "lr/0":
        return 0.1
    if key == "train/loss" and step % 50 == 0:
        return float("nan")
    return (KEYS.index(key) + 1) / step


@dataclass
class Row:
    step: int
    time_s: float

    def ready(self) -> bool:
        return True

    def write(self, batch) -> None:
        wide = dict.fromkeys(WIDE_KEYS, self.step * 0.5)
        batch.row(self.step, self.time_s, {key: value(key, self.step) for key in KEYS} | wide)


def hello(run_id: str, **fields) -> wire.Hello:
    fields = {"name": "toy", "started_s": time.time(), "pid": os.getpid(), **fields}
    return wire.Hello(schema=wire.SCHEMA_VERSION, run_id=run_id, **fields)


def start(run_id: str) -> Sender:
    if hidden := os.environ.get("HIDE"):
        launcher._folder = lambda _name: f"/nowhere/without/{hidden}"
    if shadows := os.environ.get("SHADOWS"):
        os.chdir(shadows)
        os.environ["PYTHONPATH"] = shadows
    if limit := os.environ.get("LIMIT_BYTES"):
        outbox.Outbox.__init__.__defaults__ = (int(limit),)
    if sockets := os.environ.get("SOCKETS"):
        elsewhere = runtime.socket_folder
        runtime.socket_folder = lambda: Path(sockets) if Path(sockets).is_dir() else elsewhere()
    fields = {
        "endpoint": os.environ.get("ENDPOINT", ""),
        "insecure": "INSECURE" in os.environ,
        "rank": int(os.environ.get("RANK", "0")),
    }
    sender = Sender(hello(run_id, **fields), heartbeat=lambda: wire.Heartbeat(time_s=time.time()))
    sender.start()
    if folder := os.environ.get("MOVES"):
        os.chdir(folder)
        os.environ |= {"TZ": "XYZ-9:30", "HOME": folder, "XDG_STATE_HOME": folder}
        del os.environ["BEDSIDE_HOME"]
    return sender


def train(sender: Sender, first: int, last: int, pace_s: float = 0.0) -> None:
    set_back_at = int(os.environ.get("SET_BACK_AT", last + 1))
    began_s = time.monotonic()
    for step in range(first, last + 1):
        sender.put(Row(step, time.time() - 3600.0 * (step >= set_back_at)))
        if pace_s:
            time.sleep(max(0.0, began_s + pace_s * (step - first + 1) - time.monotonic()))


def wait_for_commit(sender: Sender) -> None:
    while sender._records or len(sender._outbox):
        time.sleep(0.01)


def eat() -> None:
    """Until the memory limit of the control group ends it."""
    eaten = []
    while True:
        eaten.append(bytearray(os.urandom(1 << 20)))


def main() -> None:
    logging.basicConfig(stream=sys.stderr, format="%(name)s %(levelname)s %(message)s")
    if group := os.environ.get("GROUP"):
        Path(group).write_text("0")
    steps, end, pace_s = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    sender = start(os.environ["RUN_ID"])
    train(sender, 1, steps, pace_s)
    if end in ("finished", "exit 3"):
        sender.close(wire.Goodbye(time_s=time.time(), reason="finished", step=steps))
    elif end == "exception":
        sender.close(wire.Goodbye(time_s=time.time(), reason="exception", step=steps, error="ValueError: no"))
        raise ValueError("no")
    elif end == "detached":
        sender.close(wire.Goodbye(time_s=time.time(), reason="detached", step=steps))
        signal.pause()
    else:
        print("trained", flush=True)
        signal.pause() if end == "wait" else wait_for_commit(sender)
    if end == "exit 3":
        sys.exit(3)
    if end == "_exit 4":
        os._exit(4)
    if end == "segmentation fault":
        ctypes.string_at(0)
    if end == "abort":
        os.abort()
    if end == "memory":
        eat()


if __name__ == "__main__":
    main()
