"""What belongs to time: grid, debounce, hysteresis, gates, lifecycle, and one verdict however the run was cut."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import rows
from monitor.engine import Engine
from monitor.model import Severity
from monitor.rules import RULES, Clock, Evidence, Gate, Rule
from probe import wire
from probe.batch import BatchBuilder
from tests.synthetic_runs import HELLO, LAYERS, batch, fail, falling, judge_loss


def above(limit: float, **changes) -> Rule:
    """A rule for the tests: the newest loss is above a limit (0.6 of it, to stay)."""

    def check(loss, context, *, level=1.0):
        newest = float(loss.values[-1])
        return Evidence({"loss": newest}, first_step=int(loss.steps[-1])) if newest > limit * level else None

    fields = {
        "name": "above",
        "signals": ("loss",),
        "severity": Severity.WARNING,
        "summary": "loss {loss:g}",
        "action": "Wait",
        "check": check,
        "hold": 1,
    }
    return Rule(**(fields | changes))


def judged(*rules: Rule, loss: np.ndarray, **more) -> tuple[wire.Alert, ...]:
    engine = Engine(rules, on_fault=fail)
    engine.hello(HELLO)
    engine.feed(batch({"train/loss": loss}, **more))
    return engine.alerts


def step_up(at: int, steps: int = 200, high: float = 10.0) -> np.ndarray:
    return np.where(np.arange(1, steps + 1) > at, high, 1.0)


# ------------------------------------------------------------------------------------------------- debounce, warm-up


def test_a_rule_looks_on_every_eighth_step():
    (alert,) = judged(above(5), loss=step_up(80))
    assert (alert.first_step, alert.raised_step) == (88, 88)


def test_a_finding_must_hold_three_looks():
    (alert,) = judged(above(5, hold=3), loss=step_up(80))
    assert (alert.first_step, alert.raised_step) == (88, 104)


def test_two_looks_are_no_alert_if_three_are_asked_for():
    loss = np.where((np.arange(200) >= 80) & (np.arange(200) < 100), 10.0, 1.0)
    assert judged(above(5, hold=3), loss=loss) == ()


def test_a_rule_that_looks_seldom_looks_on_its_own_grid():
    (alert,) = judged(above(5, every=24), loss=step_up(80))
    assert alert.raised_step == 96


def test_nothing_is_said_before_the_warm_up_is_over():
    (alert,) = judged(above(5, warm_up=100), loss=step_up(0))
    assert alert.raised_step == 104


def test_the_end_of_a_run_is_one_more_look():
    engine = Engine([above(5)], on_fault=fail)
    engine.hello(HELLO)
    assert engine.feed(batch({"train/loss": [1.0, 1.0, 10.0]})) == []
    (alert,) = engine.finish(None)
    assert alert.raised_step == 3


# ------------------------------------------------------------------------------------------ hysteresis, lifecycle


def test_an_alert_stays_open_between_the_two_limits():
    loss = np.concatenate([step_up(80, 120), np.full(200, 4.0)])
    (alert,) = judged(above(5), loss=loss)
    assert alert.is_open


def test_an_alert_resolves_at_the_third_clean_look():
    loss = np.concatenate([step_up(80, 120), np.full(200, 1.0)])
    (alert,) = judged(above(5), loss=loss)
    assert alert.resolved_step == 144


def test_a_condition_that_comes_back_soon_is_counted_on_the_same_alert():
    loss = np.tile(np.concatenate([np.full(80, 10.0), np.full(80, 1.0)]), 3)
    (alert,) = judged(above(5), loss=loss)
    assert (alert.id, alert.count, alert.first_step) == (1, 3, 8)


def test_a_condition_that_comes_back_late_is_a_new_alert():
    loss = np.concatenate([np.full(80, 10.0), np.full(2000, 1.0), np.full(80, 10.0)])
    assert [(a.id, a.count) for a in judged(above(5), loss=loss)] == [(1, 1), (2, 1)]


def test_only_changes_are_told():
    engine = Engine([above(5)], on_fault=fail)
    engine.hello(HELLO)
    loss = step_up(80, 160)
    told = [
        engine.feed(batch({"train/loss": loss[i : i + 8]}, seq=i + 1, first_step=i + 1)) for i in range(0, 160, 8)
    ]
    assert [len(alerts) for alerts in told] == [0] * 10 + [1] + [0] * 9


def test_an_alert_that_gets_worse_is_told_again_and_never_gets_milder():
    def check(loss, context, *, level=1.0):
        newest = float(loss.values[-1])
        severity = Severity.CRITICAL if newest > 8 else Severity.WARNING
        return Evidence({"loss": newest}, 1, severity) if newest > 5 else None

    loss = np.repeat([1.0, 6.0, 9.0, 6.0], 16)
    (alert,) = judged(above(5, check=check), loss=loss)
    assert alert.severity is Severity.CRITICAL
    assert alert.summary == "loss 9"


# -------------------------------------------------------------------------------------------------------------- gates


def test_a_gated_rule_waits_until_the_excuse_is_over():
    mark = wire.Mark(step=80, time_s=0.0, text="new data")
    (alert,) = judged(above(5, quiet=Gate.SWITCH), loss=step_up(80, 400), marks=[mark])
    assert alert.raised_step == 184  # the first look 100 losses after the 79 before the mark


def test_a_mark_that_a_command_left_excuses_nothing():
    mark = wire.Mark(step=80, time_s=0.0, text="lr x0.5", kind="command")
    (alert,) = judged(above(5, quiet=Gate.SWITCH), loss=step_up(80, 400), marks=[mark])
    assert alert.raised_step == 88


def test_trend_rules_do_not_see_values_that_are_not_finite():
    loss = step_up(80)
    loss[::3] = math.nan
    seen = []

    def check(loss, context, *, level=1.0):
        seen.extend(loss.values.tolist())
        return

    judged(above(5, check=check), loss=loss)
    assert seen
    assert all(map(math.isfinite, seen))


# ------------------------------------------------------------------------------------------------------- attribution


def named(name: str, limit: float, *causes: str, **changes) -> Rule:
    return above(limit, name=name, symptom_of=causes, **changes)


def test_a_symptom_is_folded_under_its_cause():
    (alert,) = judged(named("cause", 5), named("effect", 5, "cause"), loss=step_up(80))
    assert (alert.rule, alert.symptoms) == ("cause", ["effect"])


def test_two_rules_that_do_not_explain_each_other_are_two_alerts():
    assert [a.rule for a in judged(named("one", 5), named("other", 5), loss=step_up(80))] == ["one", "other"]


def test_a_cause_that_is_found_later_takes_the_alert_over():
    def began_early(loss, context, *, level=1.0):
        return Evidence({"loss": 1.0}, first_step=50) if loss.values[-1] > 5 else None

    cause = named("cause", 5, hold=4, check=began_early)
    (alert,) = judged(cause, named("effect", 5, "cause"), loss=step_up(80))
    assert (alert.id, alert.rule, alert.symptoms) == (1, "cause", ["effect"])
    assert (alert.first_step, alert.raised_step) == (50, 112)


def test_a_finding_from_the_time_of_an_alert_that_is_over_belongs_to_that():
    def later(loss, context, *, level=1.0):
        return Evidence({"loss": 1.0}, first_step=90) if context.points >= 160 else None

    loss = np.where((np.arange(1, 241) > 80) & (np.arange(1, 241) <= 120), 10.0, 1.0)
    (alert,) = judged(named("cause", 5), named("effect", 5, "cause", check=later), loss=loss)
    assert (alert.rule, alert.symptoms, alert.resolved_step) == ("cause", ["effect"], None)


def test_a_rule_that_looks_seldom_has_its_last_look_at_the_end():
    engine = Engine([above(5, every=64), above(5, every=8, name="often")], on_fault=fail)
    engine.hello(HELLO)
    engine.feed(batch({"train/loss": step_up(80, 120)}))
    assert [alert.rule for alert in engine.alerts] == ["often"]
    assert [alert.rule for alert in engine.finish(None)] == ["above"]


def test_two_alerts_that_turn_out_to_have_one_cause_become_one_incident():
    def began_early(loss, context, *, level=1.0):
        return Evidence({"loss": 1.0}, first_step=50) if loss.values[-1] > 5 else None

    cause = named("cause", 5, hold=4, check=began_early)
    first, second = judged(cause, named("one", 5, "cause"), named("other", 5, "cause"), loss=step_up(80))
    assert (first.rule, first.symptoms, first.resolved_step) == ("cause", ["one", "other"], None)
    assert (second.rule, second.resolved_step) == ("other", 112)


def test_of_two_that_can_cause_each_other_the_one_that_began_first_owns_the_incident():
    def began(step):
        return lambda loss, context, *, level=1.0: (
            Evidence({"loss": 1.0}, first_step=step) if loss.values[-1] > 5 else None
        )

    late, early = named("late", 5, "early", check=began(80)), named("early", 5, "late", check=began(70))
    (alert,) = judged(late, early, loss=step_up(80))
    assert (alert.rule, alert.symptoms) == ("early", ["late"])


def test_an_alarm_is_not_folded_under_a_remark():
    remark = named("remark", 5, severity=Severity.INFO)
    alerts = judged(remark, named("alarm", 5, "remark"), loss=step_up(80))
    assert [a.rule for a in alerts] == ["remark", "alarm"]


def test_an_incident_stays_open_while_the_harm_that_it_did_is_there():
    brief = named("brief", 50)
    lasting = named("lasting", 5, "brief")
    loss = np.concatenate([step_up(80, 120, 100.0), np.full(100, 10.0), np.full(100, 1.0)])
    (alert,) = judged(brief, lasting, loss=loss)
    assert (alert.rule, alert.symptoms) == ("brief", ["lasting"])
    assert alert.resolved_step == 248  # both were clean for three looks at 244


def test_a_symptom_that_comes_back_from_that_time_reopens_the_incident():
    def back_to_the_start(loss, context, *, level=1.0):
        return Evidence({"loss": 1.0}, first_step=90) if loss.values[-1] > 5 else None

    loss = np.concatenate([step_up(80, 120, 100.0), np.full(80, 1.0), np.full(80, 10.0)])
    (alert,) = judged(named("brief", 50), named("lasting", 5, "brief", check=back_to_the_start), loss=loss)
    assert (alert.rule, alert.symptoms, alert.resolved_step) == ("brief", ["lasting"], None)


# ------------------------------------------------------------------------------------------------------------- faults


def test_a_rule_that_raises_is_switched_off_and_reported_and_the_others_go_on():
    def broken(loss, context, *, level=1.0):
        raise ZeroDivisionError("float division by zero")

    faults = []
    engine = Engine([above(5, name="broken", check=broken), above(5)], on_fault=faults.append)
    engine.feed(batch({"train/loss": step_up(80)}))
    assert [alert.rule for alert in engine.alerts] == ["above"]
    assert faults == [
        "Rule 'broken' is off for this run: it failed at step 8 (ZeroDivisionError: float division by zero). "
        "The other rules go on. Please report this."
    ]


def test_an_empty_batch_and_a_run_without_losses_are_nothing():
    engine = Engine(on_fault=fail)
    engine.hello(HELLO)
    assert engine.feed(wire.Batch(seq=1)) == []
    assert engine.feed(batch({"rate/samples_per_s": np.ones(100)}, seq=2)) == []
    assert engine.finish(None) == []


# ------------------------------------------------------------------------------------------- however the run was cut


def sick_run() -> list[wire.Batch]:
    """One batch a record, as a probe writes them: a run with a divergence, dead layers, evaluations and a NaN."""
    rng = np.random.default_rng(3)
    loss = falling(700, noise=0.05)
    loss[300:] += np.minimum(np.arange(400) / 40, 1.0) * 6
    loss[650:] = np.nan
    batches = []

    def record(write):
        builder = BatchBuilder()
        write(builder)
        batches.append(builder.build(len(batches) + 1))

    record(lambda b: [b.fact(1, "objective", "cross_entropy"), b.fact(1, "classes", 10)])
    for step in range(1, 701):
        row = {"train/loss": loss[step - 1], "lr/0": 0.1, "train/accuracy": rng.random(), "grad/norm": rng.random()}
        dead = 0.99 if step > 400 else 0.1

        def training(b, step=step, row=row, dead=dead):
            b.row(step, float(step), row)
            if step % 10 == 0:
                b.layers(step, {"dead_frac": [0.0, dead, None], "grad_norm": [0.1] * 3, "update_ratio": [1e-3] * 3})
            b.classes(step, "train", [1, 1, 1], [5, 5, 5], [5, 5, 5])

        record(training)
        if step % 35 == 0:

            def evaluation(b, step=step):
                b.row(step, step + 0.5, {"val/loss": 0.5 + step / 100, "val/accuracy": 0.9})
                b.classes(step, "val", [45, 45, 0], [50, 50, 50], [75, 75, 0])

            record(evaluation)
    return batches


RUN = sick_run()


def verdict(batches) -> tuple[wire.Alert, ...]:
    engine = Engine(on_fault=fail)
    engine.hello(HELLO)
    for each in batches:
        engine.feed(each)
    engine.finish(None)
    return engine.alerts


WHOLE = verdict([rows.merge(RUN)])


def test_the_sick_run_has_something_to_compare():
    assert [alert.rule for alert in WHOLE] == ["class-collapse", "divergence"]
    assert WHOLE[1].symptoms == ["overfitting", "oscillation", "dead-units", "non-finite"]


def test_record_by_record_is_judged_as_the_whole_is():
    assert verdict(RUN) == WHOLE


@settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(1, len(RUN) - 1), max_size=40))
def test_any_cut_into_batches_is_judged_as_the_whole_is(cuts):
    edges = [0, *sorted(cuts), len(RUN)]
    assert verdict(rows.merge(RUN[a:b]) for a, b in pairwise(edges)) == WHOLE


def test_memory_does_not_grow_with_the_run():
    engine = Engine(on_fault=fail)
    engine.hello(HELLO)
    sizes = []
    for i in range(40):
        loss = np.random.default_rng(i).random(1024)
        engine.feed(batch({"train/loss": loss, "grad/norm": loss}, seq=i + 1, first_step=1024 * i + 1))
        state = engine._state
        sizes.append((len(state.loss._values), len(state.series["grad_norm"]._values), len(state.levels._blocks)))
    assert len(set(sizes[2:])) == 1


def test_the_trail_holds_the_whole_run_in_512_cells():
    from monitor.engine.series import Trail

    trail = Trail()
    for block in range(5000):
        trail.append(16 * (block + 1), float(block))
    signal = trail.newest(512)
    assert 256 <= len(signal) < 512
    assert signal.values[0] == pytest.approx(np.mean(range(len(range(16)))))
    assert np.all(np.diff(signal.values) == 16)


def test_every_rule_is_asked_on_its_clock():
    asked = []

    def spy(rule):
        def check(*args, **kwargs):
            asked.append(rule.clock)

        return replace(rule, check=check, warm_up=0)

    engine = Engine([spy(rule) for rule in RULES], on_fault=fail)
    engine.hello(HELLO)
    for each in RUN[:200]:
        engine.feed(each)
    assert set(asked) == set(Clock)


def test_names_of_layers_come_from_the_hello():
    alert = next(a for a in WHOLE if "dead-units" in a.symptoms)
    assert set(alert.where) <= set(LAYERS)


def test_healthy_noise_gives_no_alert_over_many_steps():
    assert [a for a in judge_loss(falling(30_000, noise=0.2)) if a.severity.is_alarm] == []
