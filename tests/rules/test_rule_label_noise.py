import msgspec
import numpy as np

from monitor.model import Severity
from probe import packing, wire
from tests.synthetic_runs import batch, falling, judge

STEPS = 600


def run(
    val: float,
    *,
    first: float | None = None,
    train_end: float = 0.9,
    targets: tuple[int, ...] = (16,) * 4,
    val_targets: tuple[int, ...] = (),
    evaluations: int = 12,
):
    """Training accuracy that rises from the prior; the validation accuracy is 1 % about ``val``, after ``first``."""
    prior = max(targets) / sum(targets)
    packed = packing.pack_steps(list(targets))
    counts = [
        wire.ClassCounts(step=step, split="train", correct=packed, total=packed, predicted=packed)
        for step in range(1, STEPS + 1)
    ]
    packed = packing.pack_steps(list(val_targets))
    at = [STEPS * i // evaluations for i in range(1, evaluations + 1)]
    if val_targets:
        counts += [
            wire.ClassCounts(step=step, split="val", correct=packed, total=packed, predicted=packed) for step in at
        ]
    accuracies = [val + 0.01 * (-1) ** i for i in range(evaluations)]
    if first is not None:
        accuracies[0] = first
    made = batch(
        {"train/loss": falling(STEPS), "train/accuracy": np.linspace(prior, train_end, STEPS)},
        facts={"objective": "cross_entropy", "classes": len(targets)},
        val={step: {"val/accuracy": accuracy} for step, accuracy in zip(at, accuracies, strict=True)},
    )
    return [a for a in judge(msgspec.structs.replace(made, classes=counts)) if a.rule == "label-noise"]


def test_random_labels_are_said_at_the_eighth_evaluation():
    (alert,) = run(0.25)
    assert (alert.severity, alert.first_step, alert.raised_step) == (Severity.WARNING, 50, 400)
    assert alert.summary.endswith("has never been above 26%, where guessing gives 25%")


def test_silent_on_a_validation_that_is_better_than_guessing():
    assert run(0.35) == []


def test_a_network_that_was_lucky_once_has_learned_nothing():
    (alert,) = run(0.25, first=0.4)
    assert (alert.raised_step, alert.evidence["best"]) == (400, 0.4)
    assert run(0.25, first=0.42) == []


def test_silent_on_a_training_that_learns_nothing():
    assert run(0.25, train_end=0.4) == []


def test_silent_before_there_are_eight_evaluations():
    assert run(0.25, evaluations=7) == []


def test_of_uneven_classes_guessing_the_most_frequent_is_chance():
    assert run(0.75, targets=(60, 20), train_end=0.9) == []
    (alert,) = run(0.75, targets=(60, 20), train_end=1.0)
    assert alert.evidence["guess"] == 0.75


def test_what_guessing_gives_in_the_validation_is_what_its_own_classes_say():
    frequent, even = (40, 8, 8, 8), (50,) * 4
    assert run(0.6, targets=frequent, val_targets=even, train_end=1.0) == []
    (alert,) = run(0.25, targets=frequent, val_targets=even, train_end=1.0)
    assert alert.summary.endswith("has never been above 26%, where guessing gives 25%")
