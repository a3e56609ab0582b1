"""How long all rules take to judge a run of ten signals, in seconds of CPU, which of them take it, and what is held.

python -m tests.benchmarks.pace_of_rules [STEPS]      1,000,000 by default; the aim is 10 s on a quiet machine
"""

from __future__ import annotations

import pickle
import sys
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np

from monitor.engine import Engine
from probe import wire
from tests.synthetic_runs import CROSS_ENTROPY, HELLO, batch, fail

#: Steps in a page of a run file.
PAGE = 256


def signals(steps: int) -> dict[str, np.ndarray]:
    """Ten series of a run that is well: a loss that falls, clipped gradients, a cosine, a steady pace."""
    rng, t = np.random.default_rng(0), np.arange(steps) / steps
    norm = np.exp(0.3 * rng.normal(size=steps))
    return {
        "train/loss": 0.3 + 2 * np.exp(-4 * t) + 0.05 * rng.normal(size=steps),
        "train/accuracy": np.clip(0.95 - 0.6 * np.exp(-4 * t) + 0.05 * rng.normal(size=steps), 0, 1),
        "grad/norm": norm,
        "grad/norm_applied": np.minimum(norm, 2.0),
        "lr/0": 0.05 * (1 + np.cos(np.pi * t)),
        "time/step_s": 0.01 + 0.001 * rng.random(steps),
        "time/data_s": 0.001 * rng.random(steps),
        "rate/samples_per_s": 3000 + 100 * rng.random(steps),
        "amp/scale": np.full(steps, 65536.0),
        "amp/skipped_total": np.zeros(steps),
    }


def pages(steps: int) -> Iterator[wire.Batch]:
    columns = signals(steps)
    for i in range(0, steps, PAGE):
        part = {key: values[i : i + PAGE] for key, values in columns.items()}
        yield batch(part, seq=i // PAGE + 1, first_step=i + 1, facts={} if i else CROSS_ENTROPY)


def judged(steps: int) -> tuple[float, tuple[int, int], Counter[str]]:
    """Seconds of CPU, bytes held after a tenth and at the end, and seconds of each rule with what it is given."""
    engine, given, each = Engine(on_fault=fail), list(pages(steps)), Counter[str]()
    tenth = max(1, len(given) // 10)
    ask = engine._ask

    def timed(watch, context, step):
        began = time.thread_time()
        ask(watch, context, step)
        each[watch.rule.name] += time.thread_time() - began

    engine.hello(HELLO)
    total, held = 0.0, [0, 0]
    for i, part in enumerate((given[:tenth], given[tenth:])):
        began = time.process_time()
        for page in part:
            engine.feed(page)
        total += time.process_time() - began
        held[i] = len(pickle.dumps((engine._state, engine._incidents.alerts)))
    profiled = Engine(on_fault=fail)
    profiled.hello(HELLO)
    ask, profiled._ask = profiled._ask, timed
    for page in given[:tenth]:
        profiled.feed(page)
    return total, (held[0], held[1]), each


def main(steps: int) -> None:
    total, (early, late), each = judged(steps)
    print(f"{steps:,} steps of 10 signals: {total:.1f} s of CPU, {1e6 * total / steps:.1f} us a step")
    print(f"held: {early / 1024:.0f} KiB after a tenth of them, {late / 1024:.0f} KiB at the end")
    whole = sum(each.values())
    for name, seconds in each.most_common(12):
        print(f"  {name:20} {seconds / whole:5.0%} of the rules' share")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
