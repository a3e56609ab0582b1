"""``ssh://`` through a real sshd: whatever the line does, the viewer ends with the history that the trainer made."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from histories import recorded, same
from sshd import SSH, SSHD, Sshd
from toy_run import ROOT, until
from viewer import shown

from monitor.model import Link
from monitor.record import registry
from monitor.record.runfile import read_run
from monitor.session import Session
from probe import wire

pytestmark = pytest.mark.skipif(not (SSHD and SSH), reason="OpenSSH is not installed: apt-get install openssh-server")


@pytest.fixture
def sshd(tmp_path, toy_run, monkeypatch):
    """The training's machine, by ssh: ``toy_run`` is on it. This side has a home of its own, which is empty."""
    server = Sshd(tmp_path, toy_run.home)
    server.start()
    monkeypatch.setenv("PATH", server.path)
    yield server
    server.cut()


@pytest.fixture
def watch(sshd, watch):
    """Through that server: it is there before anything is watched, and to the end."""
    return watch


@pytest.fixture
def bedside(sshd, tmp_path):
    """A command on this side: (status, standard output, standard error)."""

    def run(*words):
        env = {**os.environ, "PYTHONPATH": str(ROOT), "BEDSIDE_HOME": str(tmp_path / "here")}
        command = [sys.executable, "-m", "monitor", *words]
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout, done.stderr

    return run


def is_over(session: Session) -> bool:
    return session.latest().state.is_over


def test_a_live_run_is_followed_to_its_end(toy_run, watch):
    process = toy_run.train(1500, "finished", 0.001)
    toy_run.wait_live()
    session = watch("ssh://train-box")

    until(lambda: is_over(session))
    process.wait()

    assert session.latest().hello.run_id == toy_run.run_id
    assert session.latest().step == 1500
    same(shown(session), recorded(toy_run))


def test_a_run_that_is_over_is_read_there(toy_run, watch):
    toy_run.train(700, "finished").wait()
    toy_run.live()
    toy_run.wait_recorder_gone()
    session = watch(f"ssh://train-box/{toy_run.run_id}")

    until(lambda: session.latest().link is Link.FILE)

    assert session.latest().goodbye.reason == "finished"
    same(shown(session), recorded(toy_run))


def test_a_line_that_is_cut_and_comes_back_costs_no_scalar(toy_run, watch, sshd):
    process = toy_run.train(10_000_000, "wait", 0.001)
    toy_run.wait_live()
    session = watch(f"ssh://train-box/{toy_run.run_id}")
    until(lambda: session.latest().step > 300)

    sshd.cut()
    until(lambda: session.latest().link is Link.LOST)
    seen = session.latest().step
    until(lambda: len(toy_run.committed_steps()) > seen + 1000)
    assert session.latest().step == seen
    sshd.start()
    until(lambda: session.latest().step > seen + 1000, timeout_s=30.0)
    process.kill()
    process.wait()
    until(lambda: is_over(session))

    assert session.latest().link is Link.LIVE
    same(shown(session), recorded(toy_run))


def test_a_line_that_was_the_last_login_comes_back_to_sockets_elsewhere(toy_run, watch, sshd, tmp_path_factory):
    folder = tmp_path_factory.mktemp("s")
    folder.chmod(0o700)
    process = toy_run.train(10_000_000, "wait", 0.001, SOCKETS=str(folder))
    before = toy_run.wait_live()
    session = watch(f"ssh://train-box/{toy_run.run_id}")
    until(lambda: session.latest().step > 300)

    sshd.cut()
    shutil.rmtree(folder)
    until(lambda: session.latest().link is Link.LOST)
    after = until(lambda: (live := toy_run.live()) and live.live != before.live and live)
    sshd.start()
    seen = session.latest().step
    until(lambda: session.latest().step > seen + 1000, timeout_s=40.0)
    process.kill()
    process.wait()
    until(lambda: is_over(session))

    assert after.recorder_pid == before.recorder_pid
    same(shown(session), recorded(toy_run))


def test_a_run_that_ends_while_the_line_is_cut_is_complete_when_it_is_back(toy_run, watch, sshd):
    process = toy_run.train(10_000_000, "wait", 0.001)
    toy_run.wait_live()
    session = watch(f"ssh://train-box/{toy_run.run_id}")
    until(lambda: session.latest().step > 300)

    sshd.cut()
    process.kill()
    process.wait()
    toy_run.wait_recorder_gone()
    sshd.start()
    until(lambda: is_over(session), timeout_s=30.0)

    until(lambda: session.latest().link is Link.FILE)
    same(shown(session), recorded(toy_run))


def test_a_viewer_that_was_suspended_misses_nothing(toy_run, sshd, tmp_path):
    process = toy_run.train(10_000_000, "wait", 0.001)
    toy_run.wait_live()
    program = [sys.executable, ROOT / "tests" / "faults" / "viewer.py", f"ssh://train-box/{toy_run.run_id}"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    viewer = subprocess.Popen(
        [*program, tmp_path / "shown.npz"], env=env, stdout=subprocess.PIPE, start_new_session=True
    )
    toy_run.processes.append(viewer)
    assert viewer.stdout.readline() == b"watching\n"

    os.killpg(viewer.pid, signal.SIGSTOP)  # with its ssh, as Ctrl-Z does it
    time.sleep(4.0)  # longer than the heartbeats of both sides have patience
    os.killpg(viewer.pid, signal.SIGCONT)
    until(lambda: len(toy_run.committed_steps()) > 4000)
    process.kill()
    process.wait()
    assert viewer.wait(30) == 0

    same(dict(np.load(tmp_path / "shown.npz")), recorded(toy_run))


def test_no_ssh_is_left_behind_by_a_viewer_that_was_killed(toy_run, sshd, tmp_path):
    import psutil

    toy_run.train(10_000_000, "wait", 0.001)
    toy_run.wait_live()
    program = [sys.executable, ROOT / "tests" / "faults" / "viewer.py", "ssh://train-box"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    viewer = subprocess.Popen([*program, tmp_path / "shown.npz"], env=env, stdout=subprocess.PIPE)
    toy_run.processes.append(viewer)
    assert viewer.stdout.readline() == b"watching\n"
    children = psutil.Process(viewer.pid).children(recursive=True)

    viewer.kill()
    gone, left = psutil.wait_procs(children, timeout=15)

    assert (len(gone), left) == (1, [])


def test_the_runs_there_are_listed(toy_run, bedside):
    toy_run.train(10_000_000, "wait", 0.001)
    live = toy_run.wait_live()

    status, out, err = bedside("runs", "ssh://train-box", "--json")

    assert (status, err) == (0, "")
    assert [(row["run_id"], row["live"], row["file"]) for row in json.loads(out)] == [(live.run_id, True, live.file)]


def test_tail_prints_a_run_there(toy_run, bedside):
    toy_run.train(120, "finished").wait()
    toy_run.live()
    toy_run.wait_recorder_gone()

    status, out, err = bedside("tail", "ssh://train-box/toy")

    assert (status, err) == (0, "")
    assert out.splitlines()[-1].endswith("finished")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ssh://train-box/nobody", "train-box: No run has the name, id or path 'nobody'."),
        ("ssh://stranger", "ssh stranger: {user}@127.0.0.1: Permission denied (publickey)."),
        ("ssh://-oProxyCommand=touch%20pwned", "'ssh://-oProxyCommand=touch%20pwned' names no machine;"),
        ("ssh://", "'ssh://' names no machine; it is ssh://[USER@]HOST[:PORT][/RUN]"),
        ("ssh://train-box:1", "ssh train-box: ssh: connect to host 127.0.0.1 port 1: Connection refused"),
    ],
)
def test_what_cannot_be_reached_is_one_line(toy_run, bedside, address, said):
    import getpass

    toy_run.train(60, "finished").wait()
    status, out, err = bedside("tail", address)

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"bedside tail: {said.format(user=getpass.getuser())}")


def test_a_machine_that_changed_its_key_is_refused_in_the_words_of_ssh(bedside, sshd):
    other = (sshd.folder / "user_key.pub").read_text()
    (sshd.folder / "known_hosts").write_text(f"train-box {other}")

    assert bedside("tail", "ssh://train-box") == (
        2,
        "",
        "bedside tail: ssh train-box: Host key verification failed.\n",
    )


def test_a_machine_without_a_run_says_so(bedside, sshd):
    status, out, err = bedside("watch", "ssh://train-box")

    assert (status, out) == (2, "")
    assert err.startswith("bedside watch: train-box: no training was ever watched by Bedside there")


def spoiled(way: Path) -> Path:
    """The way to a Python that is there and has lost its packages, as one whose environment was upgraded."""
    words = way.read_text()
    assert " --path " in words
    way.write_text(words.replace(" --path ", " --path /gone"))
    return way


def test_a_way_to_a_python_that_lost_its_packages_gives_way_to_the_next(toy_run, bedside):
    toy_run.train(120, "finished").wait()
    toy_run.live()
    toy_run.wait_recorder_gone()
    way = toy_run.home / "readers" / registry.hostname()
    shutil.copy(way, way.with_name("zz-another-host"))
    spoiled(way)

    status, out, err = bedside("tail", "ssh://train-box/toy")

    assert (status, err) == (0, "")
    assert out.splitlines()[-1].endswith("finished")


def test_where_no_way_leads_anywhere_any_more_the_last_one_is_named(toy_run, bedside):
    toy_run.train(60, "finished").wait()
    way = spoiled(toy_run.home / "readers" / registry.hostname())

    said = f"what recorded there cannot be started any more; the next training mends it ({way})"
    assert bedside("tail", "ssh://train-box/toy") == (2, "", f"bedside tail: train-box: {said}\n")


def test_a_command_goes_the_same_way(toy_run, bedside):
    small = [
        sys.executable,
        str(ROOT / "tests" / "e2e" / "small_training.py"),
        "--steps",
        "100000",
        "--pace-s",
        "0.01",
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    toy_run.processes.append(subprocess.Popen(small, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    live = until(registry.live_runs, timeout_s=60.0)[0]
    toy_run.recorders.add(live.recorder_pid)

    status, _, err = bedside("do", "ssh://train-box", "note", "seen from afar")

    assert (status, err) == (0, "")
    until(lambda: "seen from afar" in {mark.text for batch in batches_of(live) for mark in batch.marks})


def batches_of(live: registry.LiveRun) -> list[wire.Batch]:
    return [message for message in read_run(Path(live.file)) if isinstance(message, wire.Batch)]


def test_a_server_that_forwards_no_sockets_is_named(toy_run, bedside, sshd):
    toy_run.train(10_000_000, "wait", 0.001)
    toy_run.wait_live()
    sshd.cut()
    with (sshd.folder / "sshd_config").open("a") as config:
        config.write("AllowStreamLocalForwarding no\n")
    sshd.start()

    status, out, err = bedside("tail", "ssh://train-box")

    assert (status, out) == (2, "")
    assert err.startswith("bedside tail: ssh train-box: nobody answers at the run's socket;")
