"""The zoo: what it holds, that a training of it is recorded and judged, and the arithmetic of its tables."""

import os
from itertools import combinations

import pytest

from monitor.rules import RULES
from probe import wire
from tests.diagnosis.proportions import rate, share
from tests.diagnosis.zoo import tables
from tests.diagnosis.zoo.fault import NONE
from tests.diagnosis.zoo.judged import Judged, alerts_of, story
from tests.diagnosis.zoo.loop import Outcome
from tests.diagnosis.zoo.recipes import FRESH, HELD_OUT, TUNING
from tests.diagnosis.zoo.record import key, record, recorded
from tests.diagnosis.zoo.sick import PARTS, cases

CASES = [case for part in PARTS for case in cases(part, 3)]


def test_there_are_sixty_healthy_trainings_and_forty_faults():
    assert [len(healthy) for healthy, _, _ in PARTS.values()] == [32, 33, 24]
    assert [len(sick) for _, sick, _ in PARTS.values()] == [32, 33, 34]


def test_no_two_parts_share_data_a_network_or_a_seed():
    for one, other in combinations((TUNING, HELD_OUT, FRESH), 2):
        assert not {recipe.data for recipe in one} & {recipe.data for recipe in other}
        assert not {recipe.network for recipe in one} & {recipe.network for recipe in other}
    seeds = [seed for _, _, seeds in PARTS.values() for seed in seeds]
    assert len(set(seeds)) == len(seeds)


def test_every_training_has_a_recording_of_its_own():
    assert len({key(case) for case in CASES}) == len({case.name for case in CASES}) == len(CASES)


def test_faults_are_named_by_rules_that_there_are():
    assert {name for case in CASES for name in case.fault.named_by} <= {rule.name for rule in RULES}


@pytest.fixture
def nan_in_data(tmp_path, monkeypatch):
    monkeypatch.setenv("BEDSIDE_HOME", os.environ.get("BEDSIDE_HOME", ""))  # record() sets it anew
    (case,) = (case for case in cases("held-out", 1) if case.fault.name == "nan-in-data")
    record(case, tmp_path)
    files, outcome = recorded(case, tmp_path)
    return Judged(case, outcome, alerts_of(story(files)), ())


def test_a_fault_of_a_recorded_training_is_named_at_its_onset(nan_in_data):
    assert 180 <= nan_in_data.outcome.onset <= 360
    assert nan_in_data.right.rule == "non-finite"
    assert nan_in_data.delay == (0, 0)
    assert nan_in_data.is_manifest
    assert nan_in_data.false_alarms == []


def alert(rule, severity, step):
    return wire.Alert(id=1, rule=rule, severity=severity, raised_step=step)


def test_a_fault_that_does_no_harm_is_not_manifest():
    (case,) = (case for case in cases("tuning", 1) if case.fault.name == "momentum-too-high")
    twin = Outcome(1, 300, [(100, 2.0), (200, 1.0), (300, 1.0)])
    harmed, unharmed = (Outcome(150, 300, [(100, 2.0), (200, v), (300, v)]) for v in (1.2, 1.05))
    assert Judged(case, harmed, (), (twin,)).is_manifest
    assert not Judged(case, unharmed, (), (twin,)).is_manifest


def test_an_alarm_before_the_onset_is_false_and_a_notice_rings_not():
    (case,) = (case for case in cases("tuning", 1) if case.fault.name == "rate-jumps" and "cnn" in case.recipe.name)
    outcome = Outcome(150, 300, [(100, 2.0), (200, 9.0)])
    early = alert("divergence", wire.Severity.CRITICAL, 149)
    notice = alert("stall", wire.Severity.NOTICE, 100)
    late = alert("divergence", wire.Severity.CRITICAL, 150)
    run = Judged(case, outcome, (early, notice, late), ())
    assert (run.false_alarms, run.right) == ([early], late)


def test_a_healthy_training_that_overfits_may_be_told_so_and_nothing_else():
    (case, *_) = (case for case in cases("tuning", 1) if case.fault is NONE)
    overfitting, spike = (alert(rule, wire.Severity.WARNING, 200) for rule in ("overfitting", "spike"))
    worse = Outcome(1, 300, [(100, 1.0), (200, 1.3), (300, 1.3)])
    steady = Outcome(1, 300, [(100, 1.0), (200, 1.1), (300, 1.1)])
    assert Judged(case, worse, (overfitting, spike), ()).false_alarms == [spike]
    assert Judged(case, steady, (overfitting, spike), ()).false_alarms == [overfitting, spike]


def test_a_missed_fault_is_listed_with_what_was_said_instead():
    (case,) = (case for case in cases("tuning", 1) if case.fault.name == "softmax-twice")
    named = Judged(case, Outcome(1, 300, []), (alert("double-softmax", wire.Severity.CRITICAL, 1),), ())
    unnamed = Judged(case, Outcome(1, 300, []), (alert("stall", wire.Severity.NOTICE, 100),), ())
    silent = Judged(case, Outcome(1, 300, []), (), ())
    assert tables.missed([named]) == "None.\n"
    assert tables.missed([named, unnamed, silent]) == (
        f"- {case.name}, from step 1 of 300 on: stall at step 100\n"
        f"- {case.name}, from step 1 of 300 on: nothing said\n"
    )


def test_intervals():
    assert share(0, 200) == "0 of 200 (0 % to 1.88 %)"
    assert rate(0, 10_000) == "0 (0 to 3.7)"
    assert rate(10, 10_000) == "10 (4.8 to 18)"
