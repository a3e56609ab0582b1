"""A command for each alarm of a run that nobody watches, and what a bad one costs: nothing."""

import json
import os
import signal

from toy_run import points, until

from monitor.record.runfile import read_run
from probe import wire


def test_an_alarm_of_an_unwatched_run_runs_the_command_once_though_the_recorder_is_killed(toy_run, tmp_path):
    told = tmp_path / "told"
    process = toy_run.train(10_000_000, "wait", 0.002, BEDSIDE_NOTIFY=f"cat >> {told}")
    first = toy_run.wait_live()
    until(lambda: told.exists() and told.read_text().endswith("\n"))
    until(lambda: any(isinstance(m, wire.Alert) for m in read_run(toy_run.file())))
    os.kill(first.recorder_pid, signal.SIGKILL)
    until(lambda: (live := toy_run.live()) and live.recorder_pid != first.recorder_pid)
    before = len(toy_run.committed_steps())
    until(lambda: len(toy_run.committed_steps()) > before + 200)
    process.kill()
    process.wait()
    toy_run.wait_recorder_gone()

    given = [json.loads(line) for line in told.read_text().splitlines()]
    alarms = [message for message in read_run(toy_run.file()) if isinstance(message, wire.Alert)]
    rung = [(alarm["rule"], alarm["count"]) for alarm in given]
    assert (given[0]["rule"], given[0]["raised_step"], given[0]["run_id"]) == ("non-finite", 50, toy_run.run_id)
    assert len(rung) == len(set(rung))
    assert {rule for rule, _ in rung} == {alarm.rule for alarm in alarms if alarm.severity.is_alarm}


def test_a_command_that_fails_is_said_to_the_person_and_costs_no_step(toy_run):
    process = toy_run.train(500, "wait", BEDSIDE_NOTIFY="echo no such user; exit 1")
    toy_run.wait_live()
    warning = process.stderr.readline()
    until(lambda: len(toy_run.committed_steps()) == 500)
    process.kill()
    process.wait()
    toy_run.wait_recorder_gone()
    messages = list(read_run(toy_run.file()))

    said = "The command of BEDSIDE_NOTIFY failed (exit code 1): no such user."
    assert warning == f"probe WARNING {said}\n"
    assert [message.text for message in messages if isinstance(message, wire.Notice)] == [said]
    assert points(messages, "train/loss")[0].tolist() == list(range(1, 501))
