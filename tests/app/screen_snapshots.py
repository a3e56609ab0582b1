"""Snapshots for the screen's tests: a series over plain arrays, and one builder for each state of a run."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import numpy as np

from monitor.model import (
    Alert,
    ClassTable,
    Columns,
    Goodbye,
    Group,
    Hello,
    Layer,
    LayerTable,
    Link,
    Mark,
    RunRow,
    RunState,
    Severity,
    Snapshot,
)

#: The monotonic and the wall clock that every test's screen is drawn at.
NOW_S = 5000.0
WALL = datetime(2026, 11, 21, 14, 32, 7, tzinfo=timezone.utc)
STARTED_S = WALL.timestamp() - 187_200
RUN_LENGTH_S = 187_200.0


class ArrayView:
    """A series over two arrays; the plain computation of what the history's pyramid answers."""

    def __init__(self, key, steps, values):
        self.key = key
        self.steps = np.asarray(steps, np.int64)
        self.values = np.asarray(values, np.float64)

    def __len__(self):
        return len(self.steps)

    @property
    def first_step(self):
        return int(self.steps[0])

    @property
    def last_step(self):
        return int(self.steps[-1])

    @property
    def last(self):
        return float(self.values[-1])

    def columns(self, start, width, n):
        index = (self.steps - start) // width
        inside = (index >= 0) & (index < n)
        index, values = index[inside], self.values[inside]
        finite = np.isfinite(values)
        count = np.bincount(index, minlength=n)
        bad = np.bincount(index[~finite], minlength=n)
        good = np.bincount(index[finite], minlength=n)
        low, high = np.full(n, np.inf), np.full(n, -np.inf)
        np.minimum.at(low, index[finite], values[finite])
        np.maximum.at(high, index[finite], values[finite])
        total = np.bincount(index[finite], values[finite], minlength=n)
        none = good == 0
        mean = np.where(none, np.nan, total / np.maximum(good, 1))
        return Columns(start, width, np.where(none, np.nan, low), np.where(none, np.nan, high), mean, count, bad)

    def tail(self, n):
        return self.steps[-n:], self.values[-n:]

    def between(self, first, last):
        inside = (self.steps >= first) & (self.steps <= last)
        return self.steps[inside], self.values[inside]


LAYER_NAMES = (
    "conv1",
    "bn1",
    *(f"layer{i}.{j}.{part}" for i in range(1, 5) for j in range(2) for part in ("conv1", "bn1", "conv2", "bn2")),
    "fc",
)
CLASS_NAMES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def hello(**changes):
    values = {
        "schema": 1,
        "run_id": "0badcafe",
        "name": "r07",
        "started_s": STARTED_S,
        "host": "gpu-03",
        "device": "cuda:0 H200",
        "model": "resnet18",
        "optimizer": "SGD",
        "total_steps": 40_000,
        "groups": [Group("0", "SGD", 11_173_962)],
        "classes": list(CLASS_NAMES),
    }
    return Hello(**{**values, **changes})


def series(steps=12_843, *, spike=True, seed=7):
    """What a classification run of so many steps leaves: noisy, falling, with a spike near its end."""
    rng = np.random.default_rng(seed)
    at = np.arange(1, steps + 1)
    level = 0.35 + 1.95 * np.exp(-at / 4000)
    loss = level * (1 + 0.07 * rng.standard_normal(steps))
    norm = 0.6 * np.exp(0.25 * rng.standard_normal(steps)) + 0.4 * np.exp(-at / 900)
    if spike and steps > 1000:
        begin = int(steps * 0.97)
        loss[begin:] += 1.1 * np.exp(-np.arange(steps - begin) / 60)
        norm[begin : begin + 40] = 34.7
    evals = at[389::390]
    val = (
        0.42
        + 1.85 * np.exp(-evals / 3500)
        + np.maximum(evals - 9000, 0) * 4e-5
        + 0.01 * rng.standard_normal(len(evals))
    )
    step_s = 0.243 + 0.01 * rng.random(steps) + at * 2e-6
    accuracy = np.clip(1 - level / 2.4 + 0.03 * rng.standard_normal(steps), 0, 1)
    data = {
        "train/loss": (at, loss),
        "val/loss": (evals, val),
        "train/accuracy": (at, accuracy),
        "val/accuracy": (evals, np.clip(1 - val / 2.5, 0, 1)),
        "grad/norm": (at, norm),
        "grad/norm_applied": (at, np.minimum(norm, 1.0)),
        "lr/0": (at, 0.05 * (1 + np.cos(np.pi * at / 40_000))),
        "rate/samples_per_s": (at, 128 / step_s),
        "time/step_s": (at, step_s),
        "time/data_s": (at, step_s * (0.02 + 0.04 * at / steps)),
        "memory/allocated_bytes": (at, np.full(steps, 11.2 * 2**30)),
        "memory/rss_bytes": (at, 3.4 * 2**30 + at * 2000.0),
    }
    return {key: ArrayView(key, *points) for key, points in data.items() if len(points[0])}


def layers(names=LAYER_NAMES, samples=40, seed=3):
    rng = np.random.default_rng(seed)
    n = len(names)
    base = np.exp(-3 + rng.standard_normal(n))
    recent = base * np.exp(0.3 * rng.standard_normal((samples, n)))
    latest = {
        "grad_norm": recent[-1],
        "weight_norm": 20 + 10 * rng.random(n),
        "update_ratio": 1e-3 * np.exp(0.5 * rng.standard_normal(n)),
        "act_mean": 0.1 * rng.standard_normal(n),
        "act_std": 0.7 + 0.4 * rng.random(n),
        "dead_frac": np.where(np.arange(n) % 4 == 2, 0.02 * rng.random(n), np.nan),
    }
    if n > 8:
        latest["update_ratio"][5] = 4e-2
        latest["update_ratio"][8] = 1.2e-5
        latest["dead_frac"][8] = 0.382
    kinds = tuple(Layer(name, "Conv2d", 36_864) for name in names)
    course = base * np.exp(0.2 * rng.standard_normal((100, n)))
    course[96] *= 50  # the spike
    course[60:, 3:5] *= 0.02
    return LayerTable(
        step=12_840,
        layers=kinds,
        latest=latest,
        recent={"grad_norm": recent},
        recent_steps=np.arange(samples) * 10,
        measured={stat: np.isfinite(values) for stat, values in latest.items()},
        course=course,
        course_steps=np.linspace(10, 12_840, 100).astype(np.int64),
    )


def taken_for_another(accuracy, total, seed=11):
    """int64[classes, classes]: each class is mostly taken for its neighbours, one of them for the last."""
    rng = np.random.default_rng(seed)
    n = len(accuracy)
    likely = 1 / (1.0 + np.abs(np.arange(n)[:, None] - np.arange(n))) ** 3
    np.fill_diagonal(likely, 0)
    likely[n // 2, n - 1] = likely.max() * 4
    wrong = total - np.round(accuracy * total).astype(np.int64)
    return np.stack([rng.multinomial(k, row / row.sum()) for k, row in zip(wrong, likely, strict=True)])


def classes(names=CLASS_NAMES, seed=5):
    rng = np.random.default_rng(seed)
    accuracy = np.clip(0.77 + 0.12 * rng.standard_normal(len(names)), 0.05, 0.99)
    before = np.clip(accuracy + 0.015 * rng.standard_normal(len(names)), 0, 1)
    course = accuracy * np.linspace(0.3, 1, 32)[:, None]
    course[20:24, len(names) // 2] = 0.1
    return ClassTable(
        split="val",
        step=12_480,
        names=tuple(names),
        accuracy=accuracy,
        before=before,
        total=np.full(len(names), 1000),
        confused=taken_for_another(accuracy, np.full(len(names), 1000)) if len(names) <= 64 else None,
        course=course,
        course_steps=np.arange(390, 12_843, 390),
    )


SPIKE = Alert(
    id=4,
    rule="exploding-gradient",
    severity=Severity.CRITICAL,
    raised_step=12_470,
    first_step=12_457,
    last_step=12_497,
    time_s=STARTED_S + RUN_LENGTH_S - 190,
    signals=["grad/norm"],
    where=["layer1.0.bn2"],
    evidence={"norm": 34.7, "median": 0.61, "ratio": float("inf")},
    symptoms=["spike"],
    summary="the gradient norm is 34.7, 57 times its median of 0.61",
    action="clip the gradient norm at 1.0, or halve the learning rate to 0.039",
)
OVERFITTING = Alert(
    id=2,
    rule="overfitting",
    severity=Severity.WARNING,
    raised_step=11_310,
    first_step=9360,
    time_s=STARTED_S + RUN_LENGTH_S - 1350,
    summary="validation loss has risen for 5 evaluations while training loss falls",
    action="keep the checkpoint of step 9,360; raise weight decay to 1e-3",
)
DEAD = Alert(
    id=3,
    rule="dead-units",
    severity=Severity.WARNING,
    raised_step=12_000,
    first_step=11_400,
    time_s=STARTED_S + RUN_LENGTH_S - 2500,
    where=["layer1.1.bn1", "layer1.1.conv2"],
    summary="38% of the units of layer1.1.bn1 have not fired for 600 steps",
    action="lower the learning rate, or use a leaky activation there",
)
SLOWER = Alert(
    id=1,
    rule="slow-steps",
    severity=Severity.NOTICE,
    raised_step=8000,
    first_step=7600,
    time_s=STARTED_S + RUN_LENGTH_S - 9000,
    count=3,
    summary="a step takes 4.5% longer than in the first thousand",
    action="look for a growing log, cache or graph",
)
RESOLVED = Alert(
    id=5,
    rule="data-starvation",
    severity=Severity.WARNING,
    raised_step=3000,
    first_step=2900,
    resolved_step=3900,
    time_s=STARTED_S + 40_000,
    summary="41% of the step is waiting for data",
    action="raise num_workers from 2 to 8",
)

RUNS = (
    RunRow("0badcafe", "r07", RunState.TRAINING, 12_843, 0.4312, STARTED_S, alarms=3, current=True),
    RunRow("11111111", "r08-lr2e-4", RunState.EVALUATING, 9020, 0.5121, STARTED_S - 3600),
    RunRow("22222222", "r05-base", RunState.FINISHED, 40_000, 0.3301, STARTED_S - 90_000),
    RunRow("33333333", "r06-lr1e-1", RunState.FAILED, 882, float("nan"), STARTED_S - 99_000),
)


def healthy(**changes):
    steps = changes.pop("steps", 12_843)
    run = changes.pop("series", None) or series(steps, spike=False)
    values = {
        "version": 1,
        "hello": hello(),
        "state": RunState.TRAINING,
        "link": Link.LIVE,
        "loaded": 1.0,
        "heard_s": NOW_S - 0.2,
        "step": steps,
        "epoch": 32.0,
        "elapsed_s": RUN_LENGTH_S,
        "step_s": 0.25,
        "last_time_s": STARTED_S + RUN_LENGTH_S,
        "series": run,
        "clock": ArrayView("clock", [1, steps], [STARTED_S + 10, STARTED_S + RUN_LENGTH_S]) if steps > 1 else None,
        "epochs": tuple((390 * epoch + 1, float(epoch)) for epoch in range(steps // 390 + 1)),
        "layers": layers(),
        "val_classes": classes(),
        "facts": {"objective": "cross_entropy", "batch_size": 128},
        "cost_us": 41.0,
        "cost_share": 0.0017,
        "runs": RUNS,
    }
    return Snapshot(**{**values, **changes})


def alarming(**changes):
    values = {
        "series": series(),
        "alerts": (SLOWER, OVERFITTING, DEAD, SPIKE, RESOLVED),
        "marks": (Mark(step=6000, time_s=0.0, text="lr x0.5", kind="command"),),
    }
    return healthy(**{**values, **changes})


def waiting(**changes):
    return Snapshot(version=1, source="the newest live run", link=Link.CONNECTING, heard_s=NOW_S, **changes)


def before_first_step():
    return Snapshot(
        version=1, hello=hello(), state=RunState.WAITING, link=Link.LIVE, loaded=1.0, heard_s=NOW_S - 2, runs=RUNS[:1]
    )


def loading():
    return healthy(link=Link.LOADING, loaded=0.43)


def link_lost():
    return alarming(link=Link.LOST, heard_s=NOW_S - 75)


def stalled():
    return healthy(state=RunState.STALLED, last_time_s=STARTED_S + RUN_LENGTH_S - 250)


def paused():
    return healthy(state=RunState.PAUSED)


def finished():
    goodbye = Goodbye(time_s=STARTED_S + RUN_LENGTH_S, reason="finished", step=12_843, exit_code=0)
    return healthy(state=RunState.FINISHED, link=Link.FILE, goodbye=goodbye, runs=())


def failed():
    goodbye = Goodbye(
        time_s=STARTED_S + RUN_LENGTH_S,
        reason="exception",
        step=12_843,
        exit_code=1,
        error="RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB",
        traceback="Traceback (most recent call last):\n  ...\n",
    )
    return alarming(state=RunState.FAILED, goodbye=goodbye)


def vanished():
    goodbye = Goodbye(time_s=STARTED_S + RUN_LENGTH_S, reason="vanished", step=12_843)
    return healthy(state=RunState.VANISHED, goodbye=goodbye)


def nan_only():
    at = np.arange(1, 201)
    bad = {
        "train/loss": ArrayView("train/loss", at, np.full(200, np.nan)),
        "lr/0": ArrayView("lr/0", at, np.full(200, 0.1)),
    }
    alert = Alert(
        id=1,
        rule="non-finite",
        severity=Severity.CRITICAL,
        raised_step=1,
        first_step=1,
        time_s=STARTED_S + 1,
        evidence={"loss": float("nan")},
        summary="the loss is NaN from step 1 on",
        action="look at the inputs of step 1: torch.autograd.set_detect_anomaly(True) names the operation",
    )
    return healthy(
        steps=200,
        series=bad,
        alerts=(alert,),
        layers=LayerTable(),
        val_classes=ClassTable(),
        epoch=None,
        elapsed_s=50.0,
    )


def one_step():
    return healthy(
        steps=1,
        series={
            "train/loss": ArrayView("train/loss", [1], [2.3026]),
            "lr/0": ArrayView("lr/0", [1], [0.1]),
            "grad/norm": ArrayView("grad/norm", [1], [1.7]),
        },
        hello=hello(total_steps=None),
        layers=LayerTable(),
        val_classes=ClassTable(),
        epoch=None,
        elapsed_s=1.0,
        step_s=None,
    )


def many_classes():
    return healthy(val_classes=classes([f"class {i:03}" for i in range(1000)]))


def many_layers():
    names = [
        f"decoder.blocks.{i}.{part}" for i in range(500) for part in ("attn.qkv", "attn.out", "mlp.up", "mlp.down")
    ]
    return healthy(layers=layers(names))


STATES = {
    "waiting": waiting,
    "before_first_step": before_first_step,
    "loading": loading,
    "healthy": healthy,
    "alarming": alarming,
    "link_lost": link_lost,
    "stalled": stalled,
    "paused": paused,
    "finished": finished,
    "failed": failed,
    "vanished": vanished,
    "nan_only": nan_only,
    "one_step": one_step,
    "many_classes": many_classes,
    "many_layers": many_layers,
}


def newer(snapshot, **changes):
    """The same run a moment later."""
    return replace(snapshot, **{"version": snapshot.version + 1, **changes})
