from monitor.model import Severity
from tests.synthetic_runs import batch, falling, judge


def run(*recalls, total=(50, 50, 50), steps=600):
    """A run with an evaluation after every 50 steps; the predictions go to the first class."""
    counts = {}
    for i, recall in enumerate(recalls, 1):
        correct = [round(r * n) for r, n in zip(recall, total, strict=True)]
        counts[50 * i] = (correct, total, (sum(total) - correct[1] - correct[2], correct[1], correct[2]))
    return judge(batch({"train/loss": falling(steps)}, val_classes=counts))


def test_a_class_that_is_never_recognised_is_named():
    (alert,) = run(*[(0.95, 0.9, 0.0)] * 12)
    assert (alert.rule, alert.severity, alert.where) == ("class-collapse", Severity.WARNING, ["owl"])
    assert (alert.first_step, alert.raised_step) == (50, 250)
    assert alert.summary == "one class is never recognised in the validation: owl (recall at most 0%)"


def test_a_network_that_predicts_one_class_only_is_named():
    (alert,) = run(*[(1.0, 0.0, 0.0)] * 12)
    assert alert.where == ["dog", "owl"]


def test_silent_while_the_accuracy_still_moves():
    assert run(*[(0.3 + 0.05 * i, 0.9, 0.0) for i in range(12)]) == ()


def test_silent_on_a_class_with_few_samples():
    assert run(*[(0.95, 0.9, 0.0)] * 12, total=(70, 70, 9)) == ()


def test_silent_on_weak_classes():
    assert run(*[(0.95, 0.9, 0.1)] * 12) == ()


def test_resolves_when_the_class_is_found():
    (alert,) = run(*[(0.95, 0.9, 0.0)] * 6, *[(0.95, 0.9, 0.8)] * 6)
    assert alert.resolved_step == 450
