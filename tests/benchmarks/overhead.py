"""What the probe costs, measured here and now. ``make bench`` prints it; ``--write`` puts it into the docs.

Everything is a ratio within one run: blocks of steps with and without the probe take turns, so that a machine whose
speed drifts drifts under both. CPU time is the sturdy figure (``thread_time`` of the training thread plus the
sender's own); the wall-clock ratio stands beside it with the 95 % interval of a bootstrap over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "explanation" / "overhead.md"
BEGIN, END = "<!-- measured: made by `make bench ARGS=--write` -->\n", "<!-- /measured -->\n"

sys.path.insert(0, str(ROOT))
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import nn

import probe

torch.set_num_threads(1)


class Case(NamedTuple):
    """A training to measure: its step, and how many of them make a block."""

    name: str
    model: nn.Module
    images: torch.Tensor
    labels: torch.Tensor
    block: int


class Cost(NamedTuple):
    """Per step, over the rounds of a case."""

    step_ms: float
    cpu_us: float
    cpu_share: float
    wall_ratio: float
    wall_interval: tuple[float, float]


def cases() -> list[Case]:
    torch.manual_seed(0)
    mlp = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    cnn = nn.Sequential(*block(3, 16), *block(16, 32), *block(32, 64), nn.Flatten(), nn.Linear(64 * 4 * 4, 10))
    labels = torch.randint(0, 10, (64,))
    return [
        Case("MLP", mlp, torch.randn(64, 256), labels, 400),
        Case("small CNN", cnn, torch.randn(32, 3, 32, 32), labels[:32], 60),
    ]


def block(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]


def measure(case: Case, rounds: int, every: int) -> Cost:
    """Alternate blocks without and with the probe. The first steps after attaching are not counted."""
    optimizer = torch.optim.SGD(case.model.parameters(), lr=1e-3, momentum=0.9)

    def steps(n: int) -> None:
        for _ in range(n):
            optimizer.zero_grad()
            nn.functional.cross_entropy(case.model(case.images), case.labels).backward()
            optimizer.step()

    plain_s, plain_cpu, with_s, with_cpu = ([] for _ in range(4))
    steps(case.block)
    for _ in range(rounds):
        wall, cpu = timed(lambda: steps(case.block), time.thread_time)
        plain_s.append(wall / case.block)
        plain_cpu.append(cpu / case.block)
        run = probe.attach(case.model, optimizer, name="bench", every=every)
        steps(case.block)  # the recorder starts meanwhile, and the budget finds its pace
        sender_s = sender_cpu_s(run)
        wall, cpu = timed(lambda: steps(case.block), time.thread_time)
        with_s.append(wall / case.block)
        with_cpu.append((cpu + sender_cpu_s(run) - sender_s) / case.block)
        run.detach()
    extra = [b - a for a, b in zip(plain_cpu, with_cpu, strict=True)]
    ratios = np.array(with_s) / np.array(plain_s)
    return Cost(
        step_ms=1e3 * statistics.median(plain_s),
        cpu_us=1e6 * statistics.median(extra),
        cpu_share=statistics.median(extra) / statistics.median(plain_cpu),
        wall_ratio=float(np.median(ratios)),
        wall_interval=interval(ratios),
    )


def sender_cpu_s(run: probe.Probe) -> float:
    """CPU seconds of the sender's thread so far, which is no part of the public interface."""
    return run._line._sender.cpu_s


def timed(work: Callable[[], object], cpu_clock: Callable[[], float]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), cpu_clock()
    work()
    return time.perf_counter() - wall, cpu_clock() - cpu


def interval(ratios: np.ndarray) -> tuple[float, float]:
    """95 % of the medians of resampled rounds."""
    resampled = np.random.default_rng(0).choice(ratios, (4000, len(ratios)))
    low, high = np.percentile(np.median(resampled, axis=1), [2.5, 97.5])
    return float(low), float(high)


def measure_log(rounds: int) -> tuple[float, float]:
    """Median microseconds of ``run.log`` with 10 scalars, and of a JSONL line with a flush, in turns."""
    model = nn.Linear(4, 4)
    scalars = {f"metric_{i}": 0.1 * i for i in range(10)}
    ours, plain = [], []
    with tempfile.TemporaryFile("w") as file:

        def jsonl() -> None:
            file.write(json.dumps({"step": 1, "time": time.time(), **scalars}) + "\n")
            file.flush()

        with probe.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), name="bench-log") as run:
            for _ in range(rounds):
                for work, found in ((lambda: run.log(**scalars), ours), (jsonl, plain)):
                    begin = time.perf_counter()
                    work()
                    found.append(time.perf_counter() - begin)
                time.sleep(0.0005)
    return 1e6 * statistics.median(ours), 1e6 * statistics.median(plain)


def measure_bytes(steps: int) -> float:
    """Bytes on disk a scalar: 10 series of noise, written as the recorder writes them."""
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
                builder.row(step, 1e9 + step, {f"user/{i}": noise.random() for i in range(10)})
            batch = builder.build(seq)
            file.write(Changes(batches=[(batch, wire.encode(batch))]))
        file.close()
        return path.stat().st_size / (10 * steps)


def report(rounds: int) -> str:
    lines = [
        f"Python {platform.python_version()}, torch {torch.__version__}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}, {rounds} rounds\n\n",
        "| training | every | step | probe and sender, CPU a step | of the step | wall-clock ratio (95 %) |\n",
        "|---|---|---|---|---|---|\n",
    ]
    for case in cases():
        for every in (1, 10, 100):
            cost = measure(case, rounds, every)
            low, high = cost.wall_interval
            lines.append(
                f"| {case.name} | {every} | {cost.step_ms:.2f} ms | {cost.cpu_us:.0f} µs | {cost.cpu_share:.1%} "
                f"| {cost.wall_ratio:.3f} ({low:.3f} to {high:.3f}) |\n"
            )
    ours, plain = measure_log(100 * rounds)
    lines += [
        "\n| | measured | bar |\n|---|---|---|\n",
        f"| `run.log` of 10 scalars | {ours:.1f} µs, 1/{plain / ours:.0f} of JSONL ({plain:.0f} µs) | 1/10 |\n",
        f"| bytes on disk a scalar, 10 series | {measure_bytes(20_000):.1f} | 10 |\n",
    ]
    return "".join(lines)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.relative_to(ROOT)}")
    args = arguments.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["BEDSIDE_HOME"] = home
        made = report(args.rounds)
        time.sleep(2)  # the last recorder closes its file
    print(made)
    if args.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(before + BEGIN + made + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
