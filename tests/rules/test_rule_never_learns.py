import msgspec
import numpy as np

from monitor.model import Severity
from monitor.rules import RunContext, Signal
from monitor.rules.never_learns import check
from probe import packing, wire
from tests.synthetic_runs import CROSS_ENTROPY, batch, falling, judge


def flat(level: float = 2.3, steps: int = 500, noise: float = 0.05) -> np.ndarray:
    return level + noise * np.random.default_rng(0).normal(size=steps)


def run(loss: np.ndarray, *, facts=CROSS_ENTROPY, lr: np.ndarray | float = 0.1, **scalars):
    lr = np.broadcast_to(lr, (len(loss),))
    alerts = judge(batch({"train/loss": loss, "lr/0": lr, **scalars}, facts=facts))
    return [alert for alert in alerts if alert.rule == "never-learns"]


def test_a_loss_that_stays_at_guessing_is_critical_after_two_hundred_steps():
    (alert,) = run(flat())
    assert alert.severity is Severity.CRITICAL
    assert (alert.first_step, alert.raised_step) == (1, 264)  # the third look from step 200 on, each 24 steps
    assert alert.summary == (
        "loss 2.29 after 264 steps: no better than guessing the label frequencies, which gives 2.3"
    )


def test_a_bad_start_that_comes_down_to_guessing_and_no_further_is_named():
    loss = flat()
    loss[:60] += np.geomspace(8.0, 0.01, 60)
    (alert,) = run(loss)
    assert alert.severity is Severity.CRITICAL


def test_a_notice_where_guessing_is_not_known_and_a_remark_without_validation():
    loss = {"train/loss": flat(0.7)}
    (alert,) = judge(batch(loss, val={100: {"val/loss": 0.7}}))
    assert (alert.rule, alert.severity) == ("never-learns", Severity.NOTICE)
    (alert,) = judge(batch(loss))
    assert alert.severity is Severity.INFO
    assert alert.summary.endswith("no lower than its start 0.706")


def test_resolves_when_it_begins_to_learn():
    (alert,) = run(np.concatenate([flat(), falling(500, noise=0.05)]))
    assert alert.resolved_step == 624


def test_silent_on_a_slow_beginning_that_falls():
    assert run(np.linspace(2.3, 2.2, 500) + flat(0.0, noise=0.01)) == []


def test_silent_while_the_learning_rate_warms_up():
    assert run(flat(), lr=np.linspace(1e-6, 0.1, 500)) == []


def test_silent_when_the_accuracy_tells_that_it_knows_something():
    knows = RunContext(points=256, start=2.3, best=2.25, chance=2.3, trivial=2.3, accuracy=0.5, majority=0.1)
    assert check(Signal.of(flat(steps=256)), knows._replace(accuracy=0.2)) is not None
    assert check(Signal.of(flat(steps=256)), knows) is None
    assert check(Signal.of(flat(steps=256)), knows._replace(majority=None)) is None


def test_silent_on_a_loss_that_has_been_below_and_came_back():
    loss = np.concatenate([falling(400, noise=0.02), flat()])
    assert run(loss) == []


def test_silent_on_a_fine_tuning_near_zero_that_still_falls():
    assert run(falling(500, start=0.2, end=0.1, noise=0.005)) == []


def test_of_rare_classes_guessing_their_frequencies_is_what_counts():
    # Nine of ten targets are of one class: always guessing so gives 0.33, of which ln 2 = 0.69 knows nothing.
    targets = wire.ClassCounts(
        step=8, split="train", **dict.fromkeys(("correct", "total", "predicted"), packing.pack_steps([450, 50]))
    )
    steps = batch({"train/loss": flat(0.325, noise=0.01)}, facts={"objective": "binary_cross_entropy"})
    counted = msgspec.structs.replace(steps, classes=[targets])
    assert [(alert.rule, alert.severity) for alert in judge(counted)] == [("never-learns", Severity.CRITICAL)]
    assert judge(steps) == ()
