"""The command of BEDSIDE_NOTIFY: real ones, in a real shell."""

import json
import os
import time

import pytest
from toy_run import until

from monitor.record import registry
from monitor.record.bell import MAX_WAITING, Bell
from probe import wire
from probe.wire import Severity

RUN = wire.Hello(schema=1, run_id="0123abcd", name="resnet", started_s=0.0, host="gpu-box")


def alarm(id_: int = 1, **fields) -> wire.Alert:
    named = {"rule": "non-finite", "severity": Severity.CRITICAL, "raised_step": 50, "summary": "the loss is nan"}
    return wire.Alert(id=id_, **{**named, **fields})


class Rung:
    """A bell whose command is given, and what it has said."""

    def __init__(self, command: str, *, told=(), run=RUN, **options) -> None:
        self.said: list[str] = []
        self.bell = Bell(command, self.said.append, **options)
        self.bell.begin(run, told)

    def ring(self, *alerts: wire.Alert) -> None:
        for alert in alerts:
            self.bell.ring(alert)
        until(self._is_quiet)

    def _is_quiet(self) -> bool:
        self.bell.turn()
        return self.bell.is_idle


@pytest.fixture
def told(tmp_path):
    """Where the command of a test writes, and its lines."""

    class Told:
        path = tmp_path / "told"

        def lines(self) -> list[str]:
            return self.path.read_text().splitlines() if self.path.exists() else []

    return Told()


def test_the_command_is_given_the_alarm_as_json(told):
    Rung(f"cat >> {told.path}").ring(alarm(evidence={"loss": float("nan"), "steps": 2.0}, where=["fc"]))

    (line,) = told.lines()
    given = json.loads(line)

    assert (given["run_id"], given["name"], given["host"]) == ("0123abcd", "resnet", "gpu-box")
    assert (given["rule"], given["severity"], given["raised_step"]) == ("non-finite", "critical", 50)
    assert (given["evidence"], given["where"]) == ({"loss": "nan", "steps": 2.0}, ["fc"])


def test_the_command_has_a_sentence_in_its_environment_that_nothing_can_hide_in(told):
    odd = alarm(summary="the loss is nan\x1b]0;evil\x07 $(touch x)\n", action="stop it")
    Rung(f'echo "$BEDSIDE_ALARM|$BEDSIDE_ALARM_ACTION" >> {told.path}').ring(odd)

    assert told.lines() == [
        "resnet: non-finite (critical) at step 50: the loss is nan ]0;evil  $(touch x) |stop it",
    ]


def test_it_rings_once_for_an_alarm_and_once_more_when_that_comes_back(told):
    rung = Rung(f"echo x >> {told.path}")

    rung.ring(alarm(), alarm(last_step=60), alarm(resolved_step=70), alarm(count=2, raised_step=90))

    assert len(told.lines()) == 2


def test_an_alarm_that_is_over_when_it_is_heard_of_rings_and_says_so(told):
    over = alarm(resolved_step=76)
    Rung(f'echo "$BEDSIDE_ALARM" >> {told.path}').ring(over, over)

    assert told.lines() == ["resnet: non-finite (critical) at step 50: the loss is nan; resolved at step 76"]


def test_only_alarms_ring(told):
    notice, muted = alarm(severity=Severity.NOTICE), alarm(2, muted=True)
    Rung(f"echo x >> {told.path}").ring(notice, muted)

    assert told.lines() == []


def test_a_notice_that_becomes_an_alarm_rings(told):
    Rung(f"echo x >> {told.path}").ring(alarm(severity=Severity.NOTICE), alarm())

    assert len(told.lines()) == 1


def test_what_an_earlier_recorder_has_told_does_not_ring_again(told):
    Rung(f"echo x >> {told.path}", told=[alarm(count=2)]).ring(alarm(), alarm(count=2), alarm(count=3))

    assert len(told.lines()) == 1


def test_of_the_ranks_of_a_job_the_first_rings(told):
    other = wire.Hello(schema=1, run_id="0123abcd", name="resnet", started_s=0.0, rank=1, world_size=2)
    Rung(f"echo x >> {told.path}", run=other).ring(alarm())

    assert told.lines() == []


def test_a_command_that_fails_is_said_once_with_its_last_words():
    rung = Rung("echo first; echo no route to host >&2; exit 7")

    rung.ring(alarm(1), alarm(2))

    assert rung.said == ["The command of BEDSIDE_NOTIFY failed (exit code 7): no route to host."]


def test_a_command_that_hangs_is_ended_with_all_that_it_started(told):
    rung = Rung(f"sleep 600 & echo $! >> {told.path}; wait", limit_s=0.3)

    rung.ring(alarm(1))

    assert rung.said == ["The command of BEDSIDE_NOTIFY was ended: it took longer than 0.3 s."]
    (sleep,) = told.lines()
    until(lambda: not registry.is_alive(int(sleep)))


def test_a_turn_does_not_wait_for_the_command(told):
    rung = Rung("sleep 600", limit_s=600.0)
    rung.bell.ring(alarm())

    started_s = time.process_time()
    for _ in range(3):
        rung.bell.turn()

    assert not rung.bell.is_idle
    assert time.process_time() - started_s < 1.0
    os.killpg(rung.bell._running.process.pid, 9)
    until(rung._is_quiet)


def test_a_flood_of_alarms_waits_in_a_short_queue_and_says_so(told):
    rung = Rung(f"echo x >> {told.path}")

    rung.ring(*(alarm(number) for number in range(MAX_WAITING + 5)))

    assert len(told.lines()) == MAX_WAITING
    assert rung.said == [
        f"The command of BEDSIDE_NOTIFY was not run for each alarm: {MAX_WAITING} were waiting for it."
    ]


def test_without_a_command_nothing_is_run(told):
    rung = Rung("")

    rung.ring(alarm())

    assert rung.said == []
