"""Several ranks: real processes on gloo, commanded through the recorder of rank 0."""

from __future__ import annotations

import os
import signal
import time

import pytest
import torch
from jobs import Job


@pytest.fixture
def job(tmp_path):
    job = Job(tmp_path)
    yield job
    job.close()


@pytest.mark.parametrize(
    ("launch", "size"),
    [pytest.param(Job.start, 2, id="2"), pytest.param(Job.torchrun, 4, id="4-torchrun", marks=pytest.mark.slow)],
)
def test_every_rank_applies_a_command_on_the_same_step(launch, size, job):
    launch(job, size)
    factors = [0.5, 0.1, 2.0, 1.0, 0.25]
    acks = [job.ask("lr", factor=factor) for factor in factors]
    stopped = job.ask("stop")
    ended = job.ended()

    assert [ack.ok for ack in [*acks, stopped]] == [True] * 6
    assert set(ended.values()) == {(stopped.step, ended[0][1])}
    assert set(job.codes()) == {0}
    steps = stopped.step
    schedule = [0.01]
    for _ in range(steps - 1):
        schedule.append(schedule[-1] * 0.999)
    held = [1.0] * steps
    for ack, factor in zip(acks, factors, strict=True):
        held[ack.applied["from_step"] - 1 :] = [factor] * (steps - ack.applied["from_step"] + 1)
    expected = [rate * factor for rate, factor in zip(schedule, held, strict=True)]
    assert job.rates() == dict.fromkeys(range(size), expected)
    assert [path.name for path in job.checkpoints()] == [f"step-{steps}.pt"]
    assert len(torch.load(job.checkpoints()[0], weights_only=True)["random"]) == size


def test_a_job_goes_on_from_its_checkpoint_bit_for_bit_on_every_rank(tmp_path):
    first, second = Job(tmp_path / "first"), Job(tmp_path / "second")
    try:
        first.start(2, "--steps", "800")
        saved = first.ask("checkpoint")
        ended = first.ended()
        second.start(2, "--steps", "800", "--pace-s", "0", "--load", saved.applied["path"])

        assert saved.step < 800
        assert second.ended() == ended
    finally:
        first.close()
        second.close()


def test_a_pause_may_last_longer_than_the_timeout_of_the_process_group(job):
    job.start(2, "--timeout-s", "2")
    paused = job.ask("pause")
    time.sleep(5.0)  # two and a half times the timeout
    held = job.ask("lr", factor=0.5)
    resumed = job.ask("resume")
    stopped = job.ask("stop", checkpoint=False)
    ended = job.ended()

    assert (paused.ok, paused.applied) == (True, {"ranks": 2})
    assert (held.step, resumed.step) == (paused.step, paused.step)
    assert resumed.applied["paused_s"] >= 5.0
    assert stopped.step > paused.step
    assert (set(ended), job.codes()) == ({0, 1}, [0, 0])
    rates = job.rates()
    assert rates[0] == rates[1]


def test_a_rank_that_does_not_answer_leaves_nothing_half_applied(job):
    job.start(2, "--answer-s", "1")
    os.kill(job.processes[1].pid, signal.SIGSTOP)
    refused = job.ask("lr", factor=0.5)
    os.kill(job.processes[1].pid, signal.SIGCONT)
    applied = job.ask("lr", factor=0.1)
    stopped = job.ask("stop", checkpoint=False)
    ended = job.ended()

    assert (refused.ok, refused.text) == (False, "rank 1 did not answer within 1 s; nothing was applied")
    assert (applied.ok, stopped.ok) == (True, True)
    assert len(set(ended.values())) == 1
    rates = job.rates()
    assert rates[0] == rates[1]
    before = rates[0][: applied.applied["from_step"] - 1]
    assert before == pytest.approx([0.01 * 0.999**step for step in range(len(before))])


@pytest.mark.slow
def test_a_rank_that_dies_before_it_answers_leaves_the_others_as_they_were(job):
    job.start(2, "--answer-s", "1")
    os.kill(job.processes[1].pid, signal.SIGSTOP)
    asked = job.send("lr", args={"factor": 0.5})
    os.kill(job.processes[1].pid, signal.SIGKILL)
    refused = job.answer(asked)
    job.ended()

    assert refused.text in (
        "rank 1 did not answer within 1 s; nothing was applied",
        "the run ended before its next step",  # the others' collective fails first
        "the run is over",
    )
    rates = job.rates()[0]
    assert rates == pytest.approx([0.01 * 0.999**step for step in range(len(rates))])


def test_a_rank_that_dies_after_it_answered_leaves_the_others_as_they_were(job):
    job.start(3, "--answer-s", "20", "--rank-1-dies", "answered")
    refused = job.ask("lr", factor=0.5)
    job.ended()

    assert refused.text in (
        "the run ended before its next step",
        "the run is over",
        "another rank gave up waiting; nothing was applied",
        "rank 2 did not answer within 20 s; nothing was applied",
    )
    assert job.codes()[1] == -signal.SIGKILL
    for rates in (job.rates()[0], job.rates()[2]):
        assert rates == pytest.approx([0.01 * 0.999**step for step in range(len(rates))])


@pytest.mark.slow
def test_a_rank_that_dies_while_a_checkpoint_is_written_leaves_none(job):
    job.start(2, "--answer-s", "1", "--rank-1-dies", "saving")
    refused = job.ask("stop")
    job.ended()

    assert refused.text == "rank 1 did not answer within 1 s"
    assert job.checkpoints() == []
    assert job.codes()[1] == -signal.SIGKILL


@pytest.mark.slow
def test_a_factor_goes_on_with_the_job_on_every_rank(tmp_path):
    first, second = Job(tmp_path / "first"), Job(tmp_path / "second")
    try:
        first.start(2)
        first.ask("lr", factor=0.5)
        saved = first.ask("stop")
        first.ended()
        second.start(2, "--steps", str(saved.step + 50), "--load", saved.applied["path"])
        logs = [process.communicate(timeout=60)[1] for process in second.processes]
    finally:
        first.close()
        second.close()

    expected = [0.5 * 0.01 * 0.999**step for step in range(saved.step, saved.step + 50)]
    assert second.rates() == {rank: pytest.approx(expected) for rank in (0, 1)}
    assert ["learning rate when this checkpoint was written: all groups x0.5." in log for log in logs] == [True] * 2


@pytest.mark.slow
def test_a_rank_that_ends_after_rank_0_does_so_quietly(job):
    job.start(2, "--steps", "300", "--linger-s", "2")

    assert [process.communicate(timeout=60)[1] for process in job.processes] == ["", ""]


def test_a_rank_without_a_probe_is_named(job):
    job.start(2, "--only-rank-0", probes=1)

    assert job.ask("pause").text == "rank 1 has no probe; call probe.attach on every rank"
