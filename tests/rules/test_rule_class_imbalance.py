import msgspec
import numpy as np
import pytest

from monitor.model import Severity
from probe import packing, wire
from tests.synthetic_runs import batch, falling, judge


def run(*recalls, targets=(20, 20, 1), total=(50, 50, 50), steps=600):
    """A run whose training targets of each step these are, with an evaluation after every 50 steps."""
    packed = packing.pack_steps(list(targets))
    trained = [
        wire.ClassCounts(step=step, split="train", correct=packed, total=packed, predicted=packed)
        for step in range(1, steps + 1)
    ]
    evaluated = {}
    for i, recall in enumerate(recalls, 1):
        correct = [round(r * n) for r, n in zip(recall, total, strict=True)]
        evaluated[50 * i] = (correct, total, (sum(total) - correct[1] - correct[2], correct[1], correct[2]))
    made = batch({"train/loss": falling(steps)}, val_classes=evaluated)
    return judge(msgspec.structs.replace(made, classes=[*trained, *made.classes]))


def test_a_rare_class_that_is_recognised_badly_is_an_alarm_at_the_fifth_evaluation():
    (alert,) = run(*[(0.9, 0.9, 0.2)] * 12)
    assert (alert.rule, alert.severity, alert.where) == ("class-imbalance", Severity.WARNING, ["owl"])
    assert (alert.first_step, alert.raised_step) == (1, 200)
    assert alert.summary == (
        "owl: rare among the training targets, by up to 20 to 1; recall at most 20%, where other classes have 90%"
    )
    assert alert.action.startswith("Sample owl more often (WeightedRandomSampler)")


def test_it_is_information_until_the_harm_is_there():
    (alert,) = run(*[(0.9, 0.9, 0.2)] * 4, steps=240)
    assert alert.severity is Severity.INFO


def test_a_rare_class_that_is_never_recognised_is_one_incident_with_the_imbalance_as_its_cause():
    (alert,) = run(*[(0.95, 0.9, 0.0)] * 12)
    assert (alert.rule, alert.symptoms) == ("class-imbalance", ["class-collapse"])


def test_uneven_data_alone_are_no_alarm():
    (alert,) = run(*[(0.9, 0.9, 0.7)] * 12)
    assert alert.severity is Severity.INFO
    assert alert.summary == "owl: rare among the training targets, by up to 20 to 1"


@pytest.mark.parametrize("targets", [(20, 20, 20), (20, 20, 3)], ids=["evened out by a sampler", "a little uneven"])
def test_silent_on_classes_that_are_not_rare(targets):
    assert run(*[(0.9, 0.9, 0.2)] * 12, targets=targets) == ()


def test_a_rare_class_with_few_validation_samples_is_information():
    (alert,) = run(*[(0.9, 0.9, 0.2)] * 12, total=(70, 70, 5))
    assert alert.severity is Severity.INFO


def test_a_class_that_occurs_nowhere_is_none():
    recall = [(0.9, 0.9, np.nan)] * 12
    assert run(*[(a, b, 0.0) for a, b, _ in recall], targets=(20, 20, 0), total=(50, 50, 0)) == ()


def test_resolves_into_nothing_where_the_class_is_recognised_in_the_end():
    (alert,) = run(*[(0.9, 0.9, 0.2)] * 6, *[(0.9, 0.9, 0.9)] * 6)
    assert (alert.severity, alert.is_open) == (Severity.WARNING, True)  # the data are as uneven as before
