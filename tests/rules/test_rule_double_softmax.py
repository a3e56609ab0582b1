from monitor.model import Severity
from tests.synthetic_runs import batch, falling, judge


def run(**facts):
    return judge(batch({"train/loss": falling(40)}, facts=facts))


def test_softmax_twice_is_said_with_the_floor_that_it_makes():
    (alert,) = run(classes=10, probabilities_into="cross_entropy")
    assert (alert.rule, alert.severity, alert.raised_step) == ("double-softmax", Severity.CRITICAL, 1)
    assert alert.summary.startswith("cross_entropy is given probabilities and applies its softmax a second time")
    assert alert.summary.endswith("so its loss cannot come below 1.46")


def test_sigmoid_twice_is_said_by_its_name():
    (alert,) = run(probabilities_into="binary_cross_entropy_with_logits")
    assert alert.summary.endswith("applies its sigmoid a second time, so its loss cannot come below 0.31")
    assert alert.action.startswith("Give binary_cross_entropy_with_logits the logits: take the sigmoid out")


def test_silent_where_it_was_taken_back():
    assert run(probabilities_into=None, classes=10) == ()
