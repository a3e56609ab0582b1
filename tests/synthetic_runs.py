"""Runs out of arrays, as the messages that the engine is fed, for the tests of rules, engine and diagnosis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from monitor.engine import Engine
from probe import packing, wire

LAYERS = ("conv1", "conv2", "head")
CLASSES = ("cat", "dog", "owl")
HELLO = wire.Hello(
    schema=1,
    run_id="1a2b3c4d",
    name="synthetic",
    started_s=0.0,
    layers=[wire.Layer(name, "Linear", 1) for name in LAYERS],
    classes=list(CLASSES),
)
CROSS_ENTROPY = {"objective": "cross_entropy", "classes": 10, "optimizers": 1}


def falling(steps: int, start: float = 2.3, end: float = 0.3, *, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """A loss that falls exponentially, with independent noise."""
    t = np.arange(steps) / steps
    return end + (start - end) * np.exp(-4 * t) + noise * np.random.default_rng(seed).normal(size=steps)


def batch(
    scalars: Mapping[str, Sequence[float]],
    *,
    seq: int = 1,
    first_step: int = 1,
    facts: Mapping[str, object] = {},
    marks: Sequence[wire.Mark] = (),
    layers: Mapping[int, Mapping[str, Sequence[float]]] = {},
    val: Mapping[int, Mapping[str, float]] = {},
    val_classes: Mapping[int, Sequence[Sequence[int]]] = {},
) -> wire.Batch:
    """A batch with a row for each step and one for each validation: ``val[step]`` comes after that step."""
    n = len(next(iter(scalars.values()))) if scalars else 0
    order = sorted([(first_step + i, 0, i) for i in range(n)] + [(step, 1, -1) for step in val])
    where = np.array([row for row, (_, kind, _) in enumerate(order) if kind == 0], "<u4")
    columns = {key: wire.Column(np.asarray(v, "<f8").tobytes(), where.tobytes()) for key, v in scalars.items()}
    for key in dict.fromkeys(key for values in val.values() for key in values):
        at = [(row, val[step][key]) for row, (step, kind, _) in enumerate(order) if kind == 1 and key in val[step]]
        columns[key] = wire.Column(packing.pack_floats([v for _, v in at]), packing.pack_rows([row for row, _ in at]))
    return wire.Batch(
        seq=seq,
        rows=len(order),
        steps=packing.pack_steps([step for step, _, _ in order]),
        times_s=packing.pack_floats([float(step) for step, _, _ in order]),
        scalars=columns,
        facts=[wire.Fact(step=first_step, name=name, value=value) for name, value in facts.items()],
        marks=list(marks),
        layers=[
            wire.LayerStats(
                step=step, stats={key: wire.Column(packing.pack_floats32(list(v))) for key, v in stats.items()}
            )
            for step, stats in layers.items()
        ],
        classes=[class_counts(step, *counts) for step, counts in val_classes.items()],
    )


def class_counts(
    step: int, correct: Iterable[int], total: Iterable[int], predicted: Iterable[int]
) -> wire.ClassCounts:
    packed = [packing.pack_steps(list(x)) for x in (correct, total, predicted)]
    return wire.ClassCounts(step=step, split="val", correct=packed[0], total=packed[1], predicted=packed[2])


def judge(*batches: wire.Batch) -> tuple[wire.Alert, ...]:
    """All alerts of a run."""
    engine = Engine(on_fault=fail)
    engine.hello(HELLO)
    for each in batches:
        engine.feed(each)
    engine.finish(None)
    return engine.alerts


def judge_loss(loss: Sequence[float], lr: float | Sequence[float] = 0.1, **more: object) -> tuple[wire.Alert, ...]:
    """All alerts of a run of which the losses and learning rates are known."""
    rates = np.broadcast_to(np.asarray(lr, float), (len(loss),))
    return judge(batch({"train/loss": loss, "lr/0": rates}, **more))


def fail(message: str) -> None:
    raise AssertionError(message)
