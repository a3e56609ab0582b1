import msgspec

from monitor.engine import Engine
from monitor.model import Severity
from tests.synthetic_runs import HELLO, batch, fail, falling

AT = "train.py:42 main, in queue.py:171 get"


def run(where, *, goes_on=False, total_steps=None):
    """Forty steps, then what the probe says while no step comes, and forty steps more if it goes on."""
    engine = Engine(on_fault=fail)
    engine.hello(msgspec.structs.replace(HELLO, total_steps=total_steps))
    loss = falling(80)
    engine.feed(batch({"train/loss": loss[:40]}))
    engine.feed(batch({}, seq=2, first_step=40, facts={"stalled_at": AT, "stalled": where}))
    if goes_on:
        engine.feed(batch({"train/loss": loss[40:]}, seq=3, first_step=41, facts={"stalled": None}))
    return engine.alerts


def test_a_process_that_waits_for_data_is_said_at_once_with_the_line_it_waits_in():
    (alert,) = run("data")
    assert (alert.rule, alert.severity) == ("stalled-process", Severity.CRITICAL)
    assert (alert.first_step, alert.raised_step) == (40, 40)
    assert alert.summary == f"no step since step 40: the process waits for data ({AT})"
    assert alert.action.startswith("Look for a dead worker of the loader")


def test_a_process_that_stands_in_a_step_is_said():
    (alert,) = run("step")
    assert (alert.severity, alert.summary) == (
        Severity.CRITICAL,
        f"no step since step 40: the process stands in a step ({AT})",
    )


def test_outside_a_step_it_is_a_notice_for_the_training_may_be_over():
    (alert,) = run("loop")
    assert alert.severity is Severity.NOTICE


def test_it_is_over_with_the_next_step():
    (alert,) = run("data", goes_on=True)
    assert alert.resolved_step == 41


def test_silent_on_a_run_that_has_made_all_its_steps():
    assert run("loop", total_steps=40) == ()
