import msgspec
import numpy as np
import pytest

from monitor.model import Severity
from probe import packing, wire
from tests.synthetic_runs import batch, falling, judge

STEPS = 200


def run(labels: np.ndarray, *, classes: int, val: float | None = None, looks: int = STEPS):
    """A run fed with these targets, int[steps, samples], of which the first ``looks`` are looked at; ``val`` is its
    accuracy.
    """
    steps, size = labels.shape
    counts = np.array([np.bincount(row, minlength=classes) for row in labels])
    share = counts / size
    entropy = -np.sum(share * np.log(np.where(share > 0, share, 1.0)), axis=1)
    targets = [
        wire.ClassCounts(step=step, split="train", correct=packed, total=packed, predicted=packed)
        for step, packed in enumerate((packing.pack_steps(each.tolist()) for each in counts), 1)
    ]
    evaluations = {} if val is None else {step: {"val/accuracy": val} for step in range(20, steps + 1, 20)}
    for step in range(1, min(looks, steps) + 1):
        evaluations.setdefault(step, {})["labels/entropy"] = entropy[step - 1]
    made = batch(
        {"train/loss": falling(steps)},
        facts={"objective": "cross_entropy", "classes": classes, "batch_size": size},
        val=evaluations,
    )
    return [
        alert for alert in judge(msgspec.structs.replace(made, classes=targets)) if alert.rule == "unshuffled-data"
    ]


def sorted_labels(classes: int, size: int = 32, epochs: int = 4) -> np.ndarray:
    each = np.repeat(np.arange(classes), STEPS // epochs * size // classes + 1)[: STEPS // epochs * size]
    return np.tile(each, epochs).reshape(STEPS, size)


def shuffled(share: list[float], size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(len(share), (STEPS, size), p=share)


def test_sorted_data_are_a_notice_within_a_hundred_steps():
    (alert,) = run(sorted_labels(10), classes=10)
    assert (alert.severity, alert.first_step, alert.raised_step) == (Severity.NOTICE, 15, 96)
    assert alert.action.startswith("Shuffle the training data")


def test_sorted_data_that_the_validation_suffers_from_are_a_warning():
    (alert,) = run(sorted_labels(10), classes=10, val=0.5)
    assert alert.severity is Severity.WARNING
    assert alert.summary.endswith("; the validation accuracy is 50%")


def test_sorted_data_that_are_learned_all_the_same_stay_a_notice():
    (alert,) = run(sorted_labels(10), classes=10, val=0.95)
    assert alert.severity is Severity.NOTICE


def test_forty_looks_are_enough_where_they_leave_no_doubt():
    (alert,) = run(sorted_labels(10), classes=10, looks=40)
    assert (alert.first_step, alert.raised_step) == (1, 96)
    assert run(sorted_labels(10), classes=10, looks=31) == []


@pytest.mark.parametrize("seed", range(20))
def test_forty_looks_at_pairs_of_two_classes_leave_a_doubt(seed):
    assert run(shuffled([0.5, 0.5], 2, seed), classes=2, looks=40) == []


def test_two_sorted_classes_are_enough():
    (alert,) = run(sorted_labels(2), classes=2)
    assert alert.severity is Severity.NOTICE


@pytest.mark.parametrize("size", [1, 2, 8, 64])
@pytest.mark.parametrize("share", [[0.5, 0.5], [0.97, 0.03], [0.1] * 10, [0.01] * 100], ids=len)
def test_silent_on_shuffled_data(share, size):
    assert run(shuffled(share, size), classes=len(share)) == []


def test_silent_on_batches_of_a_few_classes_at_a_time():
    picked = np.argsort(np.random.default_rng(0).random((STEPS, 100)), axis=1)[:, :8]
    assert run(np.repeat(picked, 4, axis=1), classes=100) == []


def test_silent_on_data_of_one_class():
    assert run(np.zeros((STEPS, 32), int), classes=10) == []
