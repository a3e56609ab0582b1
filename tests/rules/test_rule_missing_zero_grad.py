from monitor.model import Severity
from tests.synthetic_runs import batch, falling, judge


def run(*kept: bool | None):
    """Ten steps for each value of the fact; None where it is not said."""
    loss = falling(200)
    return judge(
        *(
            batch(
                {"train/loss": loss[10 * i : 10 * i + 10]},
                seq=i + 1,
                first_step=10 * i + 1,
                facts={} if value is None else {"gradients_kept": value},
            )
            for i, value in enumerate(kept)
        )
    )


def test_said_at_the_step_at_which_it_was_found():
    (alert,) = run(None, True, None)
    assert (alert.rule, alert.severity) == ("missing-zero-grad", Severity.CRITICAL)
    assert (alert.first_step, alert.raised_step) == (11, 11)
    assert alert.action.startswith("Call optimizer.zero_grad() before each backward pass")


def test_silent_where_the_probe_has_found_them_cleared():
    assert run(None, False, None) == ()


def test_resolves_once_they_are_cleared():
    (alert,) = run(None, True, False, None, None, None)
    assert alert.resolved_step == 21
