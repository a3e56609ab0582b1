"""A home that several machines or containers share: each knows of the others' runs what can be known, and no more."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from histories import recorded, same
from toy_run import HERE, ROOT, only, until

from monitor import cli
from monitor.commands import doing, watching
from monitor.model import Action
from monitor.record import registry
from monitor.record.naming import run_path
from monitor.record.retention import prunable
from monitor.record.runfile import RunFile, read_run
from monitor.session import Session
from probe import runtime, wire

#: Its processes have ids of their own, and its name, home and sockets are those of this machine.
CONTAINER = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
#: Another name, and no sockets.
MACHINE = ("unshare", "--uts", "--mount", "sh", "-c", 'hostname node7 && mount -t tmpfs none "$0" && exec "$@"')


def needs(*command):
    try:
        is_permitted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        is_permitted = False
    return pytest.mark.skipif(not is_permitted, reason=f"needs leave for {' '.join(command[:3])}")


def entry(run) -> registry.LiveRun:
    return registry.entry_path(run.run_id, 0)


def age(run, seconds: float, *, is_written: bool = False) -> None:
    """Let its entry be touched, and its file be written, so long ago."""
    then_s = time.time() - seconds
    for file in [entry(run), *([] if is_written else run.file().parent.iterdir())]:
        os.utime(file, (then_s, then_s))


def goodbyes(run) -> list[wire.Goodbye]:
    return [message for message in read_run(run.file()) if isinstance(message, wire.Goodbye)]


def prunable_ids() -> list[str]:
    return [run.run_id for run in prunable(before_s=time.time() + 60, keep=0)]


@pytest.fixture
def dead_node(toy_run, monkeypatch):
    """A run whose machine died, as seen from another one."""
    process = toy_run.train(10_000_000, "wait", 0.001)
    until(lambda: len(toy_run.committed_steps()) > 300)
    toy_run.lose_machine(process)
    toy_run.wait_recorder_gone()
    monkeypatch.setattr(registry, "hostname", lambda: "node7")
    return toy_run


@pytest.fixture
def on_another_machine():
    """Starts Python there, on the same home."""
    processes = []

    def start(*words, stdout=subprocess.DEVNULL):
        command = [*MACHINE, str(runtime.socket_folder()), sys.executable, *words]
        processes.append(subprocess.Popen(command, stdout=stdout, env={**os.environ, "PYTHONPATH": str(ROOT)}))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


@needs(*CONTAINER, "true")
def test_a_run_in_a_container_with_the_hosts_name_and_home_is_left_alone_from_outside(toy_run):
    process = toy_run.train(10_000_000, "wait", 0.001, under=CONTAINER)
    live = toy_run.wait_live()
    until(lambda: len(toy_run.committed_steps()) > 300)

    assert (live.host, live.is_here, live.pid) == (registry.hostname(), False, 1)
    assert goodbyes(toy_run) == []
    assert prunable_ids() == []
    assert registry.live_runs() == [live]
    assert watching.run_of_process(1) is None

    session = Session(watching.resolve(toy_run.run_id).feed)  # its sockets are in a folder that both have
    session.start()
    until(lambda: session.latest().step > 300)
    process.kill()
    process.wait()
    age(toy_run, 121)
    until(lambda: session.latest().state.is_over)
    session.close()
    assert registry.live_runs() == []
    assert entry(toy_run).exists()
    assert only(read_run(toy_run.file()), wire.Goodbye).reason == "vanished"


def test_a_run_of_another_machine_is_live_as_long_as_its_entry_is_fresh(dead_node):
    age(dead_node, 110)

    assert [run.run_id for run in registry.live_runs()] == [dead_node.run_id]
    assert goodbyes(dead_node) == []
    assert prunable_ids() == []


def test_who_commands_a_run_of_another_machine_is_told_where_that_can_be_done(dead_node, capsys):
    host = registry.live_runs()[0].host

    assert cli.main(["do", dead_node.run_id, "pause"]) == 1
    said = f"toy runs on {host}, and nothing was sent: try ssh://{host}/{dead_node.run_id}"
    assert capsys.readouterr().err == f"bedside do: {said}\n"
    assert doing.act(dead_node.run_id, Action("pause")).text == said


def test_a_run_of_another_machine_is_live_as_long_as_its_file_is_written(dead_node):
    age(dead_node, 130, is_written=True)

    assert [run.run_id for run in registry.live_runs()] == [dead_node.run_id]
    assert goodbyes(dead_node) == []
    entry(dead_node).unlink()
    assert goodbyes(dead_node) == []


def test_a_run_whose_machine_died_is_over_in_every_list(dead_node, capsys):
    age(dead_node, 130)

    assert cli.main(["runs"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(f"  {dead_node.run_id}  toy")
    assert cli.main(["tail", dead_node.run_id]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(f"run toy ({dead_node.run_id}):  on cpu, ")
    assert lines[-1].endswith("ended without a goodbye")
    assert "does not answer" not in "\n".join(lines)
    assert watching.run_rows()[0].state.is_over
    assert prunable_ids() == [dead_node.run_id]
    assert entry(dead_node).exists()


def test_a_name_means_the_run_that_is_live_and_not_one_whose_machine_died(dead_node):
    hello = wire.Hello(schema=1, run_id="bbbbbbbb", name="toy", started_s=time.time() + 1)
    RunFile.create(run_path(hello)).close()
    newer = registry.LiveRun(
        run_id="bbbbbbbb",
        name="toy",
        host="node7",
        pid=os.getpid(),
        recorder_pid=os.getpid(),
        started_s=hello.started_s,
        file=str(run_path(hello)),
        live="",
        ask="",
    )
    registry.register(newer)
    age(dead_node, 130)

    assert registry.find("toy").live == newer


def test_what_is_known_of_a_copy_is_not_that_its_run_is_over(dead_node, tmp_path):
    age(dead_node, 130)
    copy = tmp_path / "copy.bedside"
    with_log = [dead_node.file(), *dead_node.file().parent.glob("*-wal")]
    for file in with_log:
        copy.with_name(file.name.replace(dead_node.file().name, copy.name)).write_bytes(file.read_bytes())

    assert len(goodbyes(dead_node)) == 1
    assert [message for message in read_run(copy) if isinstance(message, wire.Goodbye)] == []


def test_an_entry_that_nobody_touched_for_a_day_is_removed(dead_node):
    age(dead_node, 86_500)

    assert registry.live_runs() == []
    assert not entry(dead_node).exists()


@needs(*MACHINE, "/mnt", "true")
def test_a_live_run_is_followed_from_another_machine_through_its_file(toy_run, on_another_machine, tmp_path):
    process = toy_run.train(10_000_000, "wait", 0.001)
    toy_run.wait_live()
    until(lambda: len(toy_run.committed_steps()) > 300)
    told, lines = tmp_path / "told.npz", tmp_path / "lines"
    viewer = on_another_machine(str(HERE.parent / "faults" / "viewer.py"), toy_run.run_id, str(told))
    with lines.open("w") as out:
        tail = on_another_machine("-m", "monitor", "tail", toy_run.run_id, stdout=out)
    until(lambda: "is read from its file here" in lines.read_text())
    seen = toy_run.summary_step()
    until(lambda: toy_run.summary_step() > seen + 4000, timeout_s=60.0)
    process.kill()
    process.wait()

    host = registry.hostname()
    assert [viewer.wait(timeout=30), tail.wait(timeout=30)] == [0, 0]
    first, hint, *_, last = lines.read_text().splitlines()
    assert first.endswith(f"run toy ({toy_run.run_id}):  on cpu, ")
    assert hint.endswith(f"toy runs on {host}, and is read from its file here; try ssh://{host}/{toy_run.run_id}.")
    assert last.endswith("killed by SIGKILL")
    with np.load(told) as arrays:
        same(dict(arrays), recorded(toy_run))


def test_an_entry_that_is_deleted_comes_back_and_the_run_is_found_again(toy_run):
    toy_run.train(10_000_000, "wait", 0.001)
    live = toy_run.wait_live()
    entry(toy_run).unlink()

    assert toy_run.live() is None
    assert toy_run.wait_live() == live
