"""A training that was resumed on another machine is one story here, too."""

import numpy as np
import pytest
from sshd import SSH, SSHD, Sshd

from monitor.commands.watching import resolve
from monitor.record import reader, registry
from monitor.record.runfile import Changes, RunFile
from monitor.session import Session
from probe import wire

pytestmark = pytest.mark.skipif(not (SSHD and SSH), reason="OpenSSH is not installed: apt-get install openssh-server")


def write(run_id: str, first: int, last: int, **fields) -> None:
    """A finished run whose loss is the step, as its recorder leaves it."""
    hello = wire.Hello(schema=1, run_id=run_id, name="story", started_s=1.7e9 + first, **fields)
    steps = np.arange(first, last + 1, dtype=float)
    losses = {"train/loss": wire.Column(values=steps.tobytes())}
    batch = wire.Batch(seq=1, start=first, rows=len(steps), times_s=(1.7e9 + steps).tobytes(), scalars=losses)
    goodbye = wire.Goodbye(time_s=1.7e9 + last, reason="finished", step=last)
    file = RunFile.create(registry.run_path(hello))
    meta = {"hello": wire.encode(hello), "goodbye": wire.encode(goodbye)}
    file.write(Changes(batches=[(batch, wire.encode(batch))], meta=meta))
    file.close()


def test_what_was_recorded_before_a_run_was_resumed_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "there"))
    write("aaaaaaaa", 1, 90)
    write("bbbbbbbb", 81, 120, resumes="aaaaaaaa", first_step=80)
    reader.leave()
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "here"))
    server = Sshd(tmp_path, tmp_path / "there")
    server.start()
    try:
        monkeypatch.setenv("PATH", server.path)
        session = Session(resolve("ssh://train-box/bbbbbbbb").feed)
        session.start()
        session._thread.join(30)
    finally:
        server.cut()

    steps, losses = session.latest().series["train/loss"].tail(1000)
    np.testing.assert_array_equal(steps, np.arange(1, 121))
    np.testing.assert_array_equal(losses, np.arange(1.0, 121.0))
