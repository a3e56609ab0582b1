"""Published rules, written anew from their papers and code, over the same recordings.

Each is a function of a recording that gives the steps at which it fires, at its published defaults. What a tool
computes per tensor is computed per layer here, from norms where it takes means of absolute values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor import rows
from probe import wire
from tests.benchmarks.figures import table
from tests.diagnosis.zoo.judged import Judged, story
from tests.diagnosis.zoo.record import recorded

Floats = NDArray[np.float64]


@dataclass
class Recording:
    """The series of a run, each as its steps and values, and the layers' statistics, float64[looks, layers]."""

    scalars: dict[str, tuple[Floats, Floats]]
    layers: dict[str, tuple[Floats, Floats]]
    sizes: Floats

    def __getitem__(self, key: str) -> tuple[Floats, Floats]:
        return self.scalars.get(key, (np.empty(0), np.empty(0)))

    def layer(self, stat: str) -> tuple[Floats, Floats]:
        return self.layers.get(stat, (np.empty(0), np.empty((0, len(self.sizes)))))

    def train_at_evaluations(self, key: str) -> Floats:
        """The training value's mean since the evaluation before, at each validation loss."""
        steps, values = self[f"train/{key}"]
        at = self["val/loss"][0]
        means = []
        for begin, end in pairwise([0, *at]):
            part = values[(steps > begin) & (steps <= end)]
            means.append(float(part.mean()) if part.size else math.nan)
        return np.array(means)


def read(messages: Iterable[wire.Message]) -> Recording:
    scalars: dict[str, list[tuple[Floats, Floats]]] = {}
    layers: dict[str, list[tuple[int, Floats]]] = {}
    sizes = np.empty(0)
    for message in messages:
        if isinstance(message, wire.Hello):
            sizes = np.array([layer.parameters for layer in message.layers], np.float64)
        elif isinstance(message, wire.Batch):
            for key in message.scalars:
                scalars.setdefault(key, []).append(rows.points_of(message, key))
            for stats in message.layers:
                for stat, column in stats.stats.items():
                    layers.setdefault(stat, []).append((stats.step, rows.layer_values(column, len(sizes))))
    return Recording(
        {key: tuple(np.concatenate(part) for part in zip(*parts, strict=True)) for key, parts in scalars.items()},
        {stat: (np.array([s for s, _ in looks]), np.stack([v for _, v in looks])) for stat, looks in layers.items()},
        sizes,
    )


# ------------------------------------------------------------------------------------------------ over the loss alone


def not_finite(run: Recording) -> Floats:
    """Keras and fastai TerminateOnNaN."""
    steps, loss = run["train/loss"]
    return steps[~np.isfinite(loss)]


def loss_not_decreasing(every: int) -> Callable[[Recording], Floats]:
    """SageMaker Debugger: a decrease of less than 0.1 %, or an increase of more than 5 %, over so many steps."""

    def fires(run: Recording) -> Floats:
        steps, loss = run["train/loss"]
        before, now = loss[:-every:every], loss[every::every]
        with np.errstate(all="ignore"):
            change = 100 * (before - now) / np.abs(before)
        return steps[every::every][(change < 0.1) | (change < -5)]

    return fires


def six_sigma(run: Recording) -> Floats:
    """OLMo-core: loss or gradient norm above the mean by six deviations of the last 128, of at least 64."""
    return np.union1d(_above(*run["train/loss"]), _above(*run["grad/norm"]))


def _above(steps: Floats, values: Floats) -> Floats:
    found = []
    for i in range(64, len(values)):
        window = values[max(0, i - 128) : i]
        if values[i] - window.mean() > 6 * window.std():
            found.append(steps[i])
    return np.array(found)


def z_clip(run: Recording) -> Floats:
    """ZClip, its clipping taken as an alarm: a gradient norm 2.5 deviations above its moving average."""
    steps, norms = run["grad/norm"]
    if len(norms) <= 25:
        return np.empty(0)
    mean, variance, found = float(norms[:25].mean()), float(norms[:25].var()), []
    for step, norm in zip(steps[25:], norms[25:], strict=True):
        deviation = math.sqrt(variance) + 1e-6
        if (norm - mean) / deviation > 2.5:
            found.append(step)
            norm = mean + 2.5 * deviation  # noqa: PLW2901
        mean, variance = 0.97 * mean + 0.03 * norm, 0.97 * variance + 0.03 * (norm - mean) ** 2
    return np.array(found)


def four_times_best(run: Recording) -> Floats:
    """The learning rate finders of Lightning and fastai: a smoothed loss of four times its best."""
    steps, loss = run["train/loss"]
    average, best, found = 0.0, math.inf, []
    for i, value in enumerate(loss, 1):
        average = 0.98 * average + 0.02 * value
        smooth = average / (1 - 0.98**i)
        best = min(best, smooth)
        if i > 10 and smooth > 4 * best:
            found.append(steps[i - 1])
    return np.array(found)


def kill_loss_spike(run: Recording) -> Floats:
    """llm-foundry: more than four in a row at twice the window's mean; or half of a window above its cap."""
    steps, loss = run["train/loss"]
    size, found, streak = max(100, len(loss) // 20), [], 0
    cap = min(loss[:size].max(initial=-math.inf), 10)
    for i in range(size, len(loss)):
        window = loss[i - size : i]
        streak = streak + 1 if loss[i] >= 2 * window.mean() else 0
        if streak > 4 or (i >= 2 * size and (window > cap).mean() >= 0.5):
            found.append(steps[i])
    return np.array(found)


def ten_times_most(run: Recording) -> Floats:
    """Megatron-LM: ten times the largest of the first 100."""
    steps, loss = run["train/loss"]
    return steps[100:][np.abs(loss[100:]) >= 10 * np.abs(loss[:100]).max(initial=0)]


def stagnated(run: Recording) -> Floats:
    """TheDeepChecker: four checks in a row, each ten steps apart, with less than 5 % of decrease."""
    steps, loss = run["train/loss"]
    checked = loss[9::10]
    with np.errstate(all="ignore"):
        stuck = (checked[:-1] - checked[1:]) / np.abs(checked[:-1]) < 0.05
    runs_of_four = np.lib.stride_tricks.sliding_window_view(stuck, 4).all(1) if len(stuck) >= 4 else np.empty(0, bool)
    return steps[9::10][4:][runs_of_four]


def fluctuating(run: Recording) -> Floats:
    """TheDeepChecker: the loss changes its direction in more than half of the last 50 steps."""
    steps, loss = run["train/loss"]
    if len(loss) < 50:
        return np.empty(0)
    windows = np.sign(np.diff(np.lib.stride_tricks.sliding_window_view(loss, 50)[::10], axis=1))
    turns = (windows[:, 1:] != windows[:, :-1]).sum(1)
    return steps[49::10][(50 - turns) / 50 < 0.5]


def same_again(run: Recording) -> Floats:
    """DeepLocalize, its part on loss and accuracy: not finite, or five in a row that are equal."""
    found = [not_finite(run)]
    for key in ("train/loss", "train/accuracy"):
        steps, values = run[key]
        if len(values) >= 5:
            same = (np.ptp(np.lib.stride_tricks.sliding_window_view(values, 5), axis=1)) == 0
            found.append(steps[4:][same])
    return np.concatenate(found)


# ---------------------------------------------------------------------------------------------- over the validation


def early_stopping(run: Recording) -> Floats:
    """Lightning EarlyStopping: no better validation loss in three evaluations."""
    steps, loss = run["val/loss"]
    best, waited, found = math.inf, 0, []
    for step, value in zip(steps, loss, strict=True):
        best, waited = (value, 0) if value < best else (best, waited + 1)
        if waited >= 3:
            found.append(step)
    return np.array(found)


def overfit_ratio(run: Recording) -> Floats:
    """SageMaker Debugger Overfit: a validation loss 10 % above the training loss."""
    steps, loss = run["val/loss"]
    train = run.train_at_evaluations("loss")
    with np.errstate(all="ignore"):
        return steps[(loss - train) / train > 0.1]


def autotrainer(run: Recording) -> Floats:
    """AUTOTRAINER, what can be computed: not finite, or an accuracy below 0.6 from 30 % on with bad gradients."""
    steps, loss = run["train/loss"]
    found = [steps[~np.isfinite(loss) | (loss >= 1e3) | (loss < 0)]]
    accuracy = run.train_at_evaluations("accuracy") if len(run["train/accuracy"][0]) else np.empty(0)
    at, norms = run.layer("grad_norm")
    known = np.isfinite(norms).all(0) if len(norms) else np.empty(0, bool)
    if accuracy.size and len(norms) and known.sum() > 1:
        from_here = math.ceil(0.3 * len(accuracy))
        is_stuck = np.nanmax(accuracy[: max(from_here, 1)]) < 0.6
        with np.errstate(all="ignore"):
            ratio = norms[:, known][:, 0] / norms[:, known][:, -1]
        is_bad = ((ratio < 1e-3) & (norms[:, known][:, 0] < 1e-4)) | (ratio > 70)
        found.append(at[is_bad & is_stuck & (at >= run["val/loss"][0][from_here])])
    return np.concatenate(found)


# ------------------------------------------------------------------------------------------------- over the layers


def vanishing(run: Recording) -> Floats:
    """SageMaker Debugger VanishingGradient: a mean absolute gradient below 1e-7."""
    steps, norms = run.layer("grad_norm")
    return steps[(norms / np.sqrt(run.sizes) < 1e-7).any(1)]


def sagemaker_update_ratio(run: Recording) -> Floats:
    steps, ratios = run.layer("update_ratio")
    return steps[((ratios > 10) | (ratios < 1e-8)).any(1)]


def deepchecker_update_ratio(run: Recording) -> Floats:
    """TheDeepChecker: the update as a share of the weights outside 1e-4 to 1e-1."""
    steps, ratios = run.layer("update_ratio")
    return steps[((ratios > 1e-1) | (ratios < 1e-4)).any(1)]


def dead_relu(run: Recording) -> Floats:
    """SageMaker Debugger DeadRelu: more than half of a layer's units inactive."""
    steps, dead = run.layer("dead_frac")
    return steps[(dead > 0.5).any(1)]


def umlaut(run: Recording) -> Floats:
    """UMLAUT: inputs outside -1 to 1, a learning rate outside 1e-7 to 0.01, and its signs of overfitting."""
    found = [not_finite(run), run["input/min"][0][run["input/min"][1] < -1]]
    found.append(run["input/max"][0][run["input/max"][1] > 1])
    for key in run.scalars:
        if key.startswith("lr/"):
            steps, rates = run[key]
            found.append(steps[(rates > 0.01) | (rates < 1e-7)])
    steps, loss = run["val/loss"]
    train = run.train_at_evaluations("loss")
    found.append(steps[1:][(np.diff(loss) > 0) & ~(np.diff(train) > 0)])
    return np.concatenate([*found, run["val/accuracy"][0][run["val/accuracy"][1] > 0.95]])


RULES: Final[dict[str, Callable[[Recording], Floats]]] = {
    "SageMaker LossNotDecreasing, 10 steps": loss_not_decreasing(10),
    "SageMaker LossNotDecreasing, 500 steps": loss_not_decreasing(500),
    "SageMaker Overfit": overfit_ratio,
    "SageMaker VanishingGradient": vanishing,
    "SageMaker WeightUpdateRatio": sagemaker_update_ratio,
    "SageMaker DeadRelu": dead_relu,
    "UMLAUT": umlaut,
    "TheDeepChecker, stagnated loss": stagnated,
    "TheDeepChecker, fluctuating loss": fluctuating,
    "TheDeepChecker, update ratio": deepchecker_update_ratio,
    "DeepLocalize, loss and accuracy": same_again,
    "AUTOTRAINER, what can be computed": autotrainer,
    "Lightning EarlyStopping, patience 3": early_stopping,
    "OLMo-core, six sigma": six_sigma,
    "ZClip, z > 2.5": z_clip,
    "LR finder, 4 x best": four_times_best,
    "llm-foundry KillLossSpike": kill_loss_spike,
    "Megatron-LM, 10 x most": ten_times_most,
    "TerminateOnNaN": not_finite,
}


def report(parts: Mapping[str, Sequence[Judged]], folder: Path) -> str:
    """A row a rule: how many healthy trainings, and how many manifest faults after their onset, it fires in."""
    counts = {name: [0] * (2 * len(parts)) for name in RULES}
    for column, runs in enumerate(parts.values()):
        for run in runs:
            if not run.is_healthy and not run.is_manifest:
                continue
            found = recorded(run.case, folder)
            assert found is not None
            recording = read(story(found[0]))
            for name, fires in RULES.items():
                steps = fires(recording)
                counts[name][2 * column + (not run.is_healthy)] += bool((steps >= run.outcome.onset).any())
    ours = [count for runs in parts.values() for count in _ours(runs)]
    sizes = [size for runs in parts.values() for size in _sizes(runs)]
    heads = ["rule", *(f"{what}, {part}" for part in parts for what in ("healthy", "manifest faults"))]
    lines = [[name, *map(str, row)] for name, row in {**counts, "**Bedside, any alarm**": ours}.items()]
    return table(heads, [*lines, ["of", *map(str, sizes)]])


def _ours(runs: Sequence[Judged]) -> tuple[int, int]:
    """Alarms only, whatever their name, as for the others."""
    rang = [
        run
        for run in runs
        if any(a.severity.is_alarm and a.raised_step >= run.outcome.onset for a in run.told)
        and (run.is_healthy or run.is_manifest)
    ]
    return sum(run.is_healthy for run in rang), sum(not run.is_healthy for run in rang)


def _sizes(runs: Sequence[Judged]) -> tuple[int, int]:
    return sum(run.is_healthy for run in runs), sum(not run.is_healthy and run.is_manifest for run in runs)
