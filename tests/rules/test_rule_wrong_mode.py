from monitor.model import Severity
from tests.synthetic_runs import batch, falling, judge


def run(**facts):
    return judge(batch({"train/loss": falling(40)}, facts=facts))


def test_an_evaluation_in_training_mode_is_said():
    (alert,) = run(evaluates_in_train_mode=True)
    assert (alert.rule, alert.severity, alert.first_step, alert.raised_step) == ("wrong-mode", Severity.WARNING, 1, 1)
    assert alert.action == "Call model.eval() before the validation and model.train() after it"


def test_a_training_in_evaluation_mode_is_said():
    (alert,) = run(trains_in_eval_mode=True)
    assert alert.summary.startswith("the model is in evaluation mode while it trains")
    assert alert.action.startswith("Call model.train()")


def test_silent_in_the_right_modes():
    assert run(evaluates_in_train_mode=False, trains_in_eval_mode=False) == ()
