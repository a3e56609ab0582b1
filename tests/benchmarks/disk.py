"""Bytes on disk a scalar, in a run file as the recorder writes it: a commit for each 50 steps."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from figures import table, verdict

BAR = 10


def report(steps: int) -> str:
    rows = []
    for series in (10, 100):
        found = bytes_a_scalar(steps, series)
        rows.append([str(series), f"{steps:,}", f"{found:.1f}", str(BAR), verdict(found, BAR)])
    return table(("series of noise", "steps", "bytes on disk a scalar", "bar", ""), rows)


def bytes_a_scalar(steps: int, series: int) -> float:
    from monitor.record.runfile import Changes, RunFile
    from probe import wire
    from probe.batch import BatchBuilder

    noise = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bytes.bedside"
        file = RunFile.create(path)
        for seq, first in enumerate(range(1, steps + 1, 50), 1):
            builder = BatchBuilder()
            for step in range(first, first + 50):
                builder.row(step, 1e9 + step, {f"user/{i}": noise.random() for i in range(series)})
            batch = builder.build(seq)
            file.write(Changes(batches=[(batch, wire.encode(batch))]))
        file.close()
        return path.stat().st_size / (series * steps)
