"""Run files of trainings that are over, for what goes on from them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from monitor.record.naming import run_path
from monitor.record.runfile import Changes, RunFile
from probe import wire

BATCH = 10_000


def write(run_id: str, first: int, last: int, **fields) -> Path:
    """A finished run whose loss is the step, as its recorder leaves it; its file."""
    hello = wire.Hello(schema=1, run_id=run_id, name="story", started_s=1.7e9 + first, **fields)
    batches = [batch(seq, begin, min(begin + BATCH, last + 1)) for seq, begin in numbered(first, last)]
    goodbye = wire.Goodbye(time_s=1.7e9 + last, reason="finished", step=last)
    path = run_path(hello)
    file = RunFile.create(path)
    meta = {"hello": wire.encode(hello), "goodbye": wire.encode(goodbye)}
    file.write(Changes(batches=[(each, wire.encode(each)) for each in batches], meta=meta))
    file.close()
    return path


def numbered(first: int, last: int) -> Iterator[tuple[int, int]]:
    return enumerate(range(first, last + 1, BATCH), 1)


def batch(seq: int, begin: int, end: int) -> wire.Batch:
    steps = np.arange(begin, end, dtype=float)
    losses = {"train/loss": wire.Column(values=steps.tobytes())}
    return wire.Batch(seq=seq, start=begin, rows=len(steps), times_s=(1.7e9 + steps).tobytes(), scalars=losses)
