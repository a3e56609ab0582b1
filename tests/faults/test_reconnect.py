"""Whoever comes late, is killed, suspended or cut off: in the end it knows what was trained, scalar for scalar."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from histories import recorded, same, trained
from toy_run import ROOT, until

STEPS = 2000


@pytest.fixture
def view(toy_run, tmp_path):
    """Starts a viewer, which is a process of its own, and waits until it sees the run."""
    viewers = []

    class Viewer:
        def __init__(self) -> None:
            self.output = tmp_path / f"shown-{len(viewers)}.npz"
            self.process = subprocess.Popen(
                [sys.executable, ROOT / "tests" / "faults" / "viewer.py", toy_run.run_id, self.output],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                text=True,
            )
            viewers.append(self.process)
            assert self.process.stdout.readline() == "watching\n"

        def shown(self) -> dict[str, np.ndarray]:
            """All that it knew when the run was over."""
            assert self.process.wait(timeout=60) == 0
            return dict(np.load(self.output))

    yield Viewer
    for process in viewers:
        process.kill()
        process.communicate()


def test_who_comes_late_knows_it_all(toy_run, view):
    toy_run.train(STEPS, "finished", 0.002)
    toy_run.wait_live()
    until(lambda: len(toy_run.committed_steps()) > STEPS // 2, timeout_s=40)

    late = view()

    same(late.shown(), trained(STEPS))
    same(recorded(toy_run), trained(STEPS))


def test_a_viewer_that_is_killed_leaves_the_next_one_everything(toy_run, view):
    toy_run.train(STEPS, "finished", 0.002)
    first_recorder = toy_run.wait_live().recorder_pid
    first = view()
    first.process.kill()
    first.process.wait()

    second = view()

    assert toy_run.live().recorder_pid == first_recorder
    same(second.shown(), trained(STEPS))


@pytest.mark.slow
def test_a_viewer_that_was_suspended_catches_up(toy_run, view):
    toy_run.train(10 * STEPS, "finished", 0.0005)
    toy_run.wait_live()
    viewer = view()

    viewer.process.send_signal(signal.SIGSTOP)
    time.sleep(10.0)
    viewer.process.send_signal(signal.SIGCONT)

    same(viewer.shown(), trained(10 * STEPS))


def test_a_viewer_follows_the_run_over_the_death_of_its_recorder(toy_run, view):
    toy_run.train(STEPS, "finished", 0.002)
    live = toy_run.wait_live()
    viewer = view()

    os.kill(live.recorder_pid, signal.SIGKILL)
    until(lambda: (now := toy_run.live()) and now.recorder_pid != live.recorder_pid)

    same(viewer.shown(), trained(STEPS))
    same(recorded(toy_run), trained(STEPS))


def test_a_clock_that_is_set_back_by_an_hour_costs_no_step(toy_run, view):
    toy_run.train(STEPS, "finished", 0.002, SET_BACK_AT=str(STEPS // 2))
    live = toy_run.wait_live()
    viewer = view()
    until(lambda: len(toy_run.committed_steps()) > STEPS // 2 + 100, timeout_s=40)
    os.kill(live.recorder_pid, signal.SIGKILL)  # so that some of it is also asked for again

    same(viewer.shown(), trained(STEPS))
    same(recorded(toy_run), trained(STEPS))


def test_a_burst_of_100_000_steps_arrives_whole(toy_run, view):
    toy_run.train(100_000, "wait")
    toy_run.wait_live()
    viewer = view()
    until(lambda: toy_run.committed_steps()[-1:] == [100_000], timeout_s=60)
    for process in toy_run.processes:
        process.kill()
        process.wait()

    same(viewer.shown(), trained(100_000))
