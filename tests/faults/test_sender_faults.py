"""The sender leaves no trace in the training process, however that process behaves."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy_run import ROOT, points, until

from monitor.record.runfile import read_run
from probe import launcher

PRELUDE = """
import os, sys, threading, time
sys.path.insert(0, {record!r})
import toy_trainer
sender = toy_trainer.start(os.environ["RUN_ID"])
toy_trainer.train(sender, 1, 100)
"""

WITHOUT_DESCRIPTORS = """
import os, resource, sys, time
sys.path.insert(0, {record!r})
import toy_trainer
taken, limits = [], resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
try:
    while True:
        taken.append(os.dup(2))
except OSError:
    sender = toy_trainer.start(os.environ["RUN_ID"])
toy_trainer.train(sender, 1, 100)
time.sleep(1.0)
for fd in taken:
    os.close(fd)
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
toy_trainer.wait_for_commit(sender)
"""


def run_script(
    toy_run, body: str, timeout_s: float = 20.0, prelude: str = PRELUDE, **environment: str
) -> subprocess.CompletedProcess:
    script = prelude.format(record=str(ROOT / "tests" / "record")) + body
    env = {**os.environ, "PYTHONPATH": str(ROOT), "RUN_ID": toy_run.run_id, **environment}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout_s, check=False)
    toy_run.live()
    return done


def test_a_process_that_never_closes_its_sender_ends_at_once_and_in_silence(toy_run):
    done = run_script(toy_run, "time.sleep(0.5)")

    assert (done.returncode, done.stderr) == (0, "")


def test_the_recorder_is_no_child_of_the_training_process(toy_run):
    body = """
time.sleep(1.0)
try:
    print(os.wait())
except ChildProcessError:
    print("no children")
"""
    done = run_script(toy_run, body)

    assert done.stdout == "no children\n"


def test_a_training_that_had_no_descriptor_left_is_recorded_once_it_has_some_again(toy_run):
    done = run_script(toy_run, "", prelude=WITHOUT_DESCRIPTORS)

    assert done.stderr.startswith(
        "Bedside cannot record this run: its recorder does not run ([Errno 24] Too many open files). Training goes on"
    )
    assert done.stderr.count("\n") == 1
    assert toy_run.committed_steps() == list(range(1, 101))


def test_a_forked_child_sends_nothing_and_can_end(toy_run):
    body = """
time.sleep(0.5)
pid = os.fork()
if not pid:
    toy_trainer.train(sender, 101, 200)
    sender.close(toy_trainer.wire.Goodbye(time_s=0.0, reason="finished"))
    print(len(sender._records), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
sender.close(toy_trainer.wire.Goodbye(time_s=0.0, reason="finished"))
"""
    done = run_script(toy_run, body)

    assert done.stdout == "0\n"
    assert toy_run.committed_steps() == list(range(1, 101))


def test_neither_the_folder_nor_the_path_of_the_user_shadows_the_recorders_modules(toy_run, tmp_path, monkeypatch):
    for name in ("logging", "sqlite3", "monitor", "signal"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong module')")
    process = toy_run.train(10, "wait", SHADOWS=str(tmp_path))
    assert process.stdout.readline() == "trained\n"

    assert until(toy_run.live).name == "toy"


def test_close_is_bounded_when_no_recorder_ever_comes(toy_run):
    body = """
started = time.monotonic()
sender.close(toy_trainer.wire.Goodbye(time_s=0.0, reason="finished"), timeout_s=0.5)
print(time.monotonic() - started < 5.0)
"""
    done = run_script(toy_run, body, HIDE="zmq")

    assert done.stdout == "True\n"


def test_a_record_that_raises_is_left_out_and_said_once(toy_run):
    body = """
class Bad:
    def ready(self): return True
    def write(self, batch): raise ValueError("no number")
sender.put(Bad()); sender.put(Bad())
toy_trainer.train(sender, 101, 200)
sender.close(toy_trainer.wire.Goodbye(time_s=0.0, reason="finished"))
"""
    done = run_script(toy_run, body)

    assert done.stderr == "Bedside left out a record that it could not read (ValueError('no number')).\n"
    assert toy_run.committed_steps() == list(range(1, 201))


def test_a_row_that_is_none_is_left_out_from_among_good_ones(toy_run):
    body = """
sender.put((101, 2.0, {"user/reward": 0.5}, "")); sender.put((102,)); sender.put((103, 3.0, {"user/reward": 1.5}, ""))
sender.close(toy_trainer.wire.Goodbye(time_s=0.0, reason="finished"))
"""
    done = run_script(toy_run, body)

    steps, rewards = points(list(read_run(toy_run.file())), "user/reward")
    assert done.stderr.startswith("Bedside left out a record that it could not read (IndexError(")
    assert (steps.tolist(), rewards.tolist()) == ([101, 103], [0.5, 1.5])


def test_a_record_whose_numbers_are_late_holds_back_those_behind_it_and_nothing_is_lost(toy_run):
    body = """
class Late:
    def __init__(self, step, looks): self.step, self.looks = step, looks
    def ready(self):
        self.looks -= 1
        return self.looks < 0
    def write(self, batch): batch.row(self.step, 5.0, {"late": float(self.step)})
for step in range(101, 401):
    sender.put((step, 1.0, {"soon": float(step)}, ""))
    if step % 100 == 50: sender.put(Late(step, looks=3))
sender.close(toy_trainer.wire.Goodbye(time_s=0.0, reason="finished"))
"""
    done = run_script(toy_run, body)

    messages = list(read_run(toy_run.file()))
    assert done.stderr == ""
    assert points(messages, "soon")[1].tolist() == [float(step) for step in range(101, 401)]
    assert points(messages, "late")[0].tolist() == points(messages, "late")[1].tolist() == [150, 250, 350]


def test_a_row_of_an_earlier_step_is_recorded_at_the_last_one(toy_run):
    body = """
sender.put((101, 2.0, {"train/loss": 0.5}, ""))
toy_trainer.wait_for_commit(sender)
sender.put((100, 3.0, {"val/loss": 0.25}, ""))
sender.close(toy_trainer.wire.Goodbye(time_s=0.0, reason="finished"))
"""
    done = run_script(toy_run, body)

    messages = list(read_run(toy_run.file()))
    steps, losses = points(messages, "val/loss")
    assert (done.stderr, steps.tolist(), losses.tolist()) == ("", [101], [0.25])
    assert points(messages, "train/loss")[0].tolist() == list(range(1, 102))


def test_the_thread_is_gone_after_close(toy_run):
    body = """
sender.close(toy_trainer.wire.Goodbye(time_s=0.0, reason="finished"))
print([thread.name for thread in threading.enumerate()], sender.cpu_s > 0)
"""
    assert run_script(toy_run, body).stdout == "['MainThread'] True\n"


def test_a_package_stays_where_the_first_recorder_found_it_as_long_as_it_is_there(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name / "lent").mkdir(parents=True)
        (tmp_path / name / "lent" / "__init__.py").touch()
    monkeypatch.setattr(launcher, "_NEEDS", ("lent",))
    monkeypatch.syspath_prepend(tmp_path / "one")
    starter = launcher.Launcher(list)
    first = list(starter._look_up())
    monkeypatch.syspath_prepend(tmp_path / "two")
    second = list(starter._look_up())
    shutil.rmtree(tmp_path / "one")

    assert first == second == [str(tmp_path / "one")]
    assert list(starter._look_up()) == [str(tmp_path / "two")]


@pytest.mark.parametrize("name", ["msgspec", "zmq", "numpy", "platformdirs"])
def test_the_recorder_is_told_where_its_packages_are(name):
    assert Path(launcher._folder(name), name).exists()
