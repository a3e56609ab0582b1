"""What cannot be entered is said in one line, with what to do; and nothing that others can write is ever run."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from unprepared import Training, attach, bedside, recorded
from world import eventually

from monitor.commands import attaching
from monitor.inject import target
from monitor.inject.private import unsafe, unsafe_inside

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a running process can be entered on Linux only")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")

IDLE = "import time; print('ready', flush=True); [time.sleep(0.01) for _ in range(10**6)]"
TORCH = f"import torch; {IDLE}"


def refusal(world, process, command="attach"):
    pid = getattr(process, "pid", process)
    status, out, err = bedside(world, command, pid)
    assert (status, out, err.count("\n")) == (2, "", 1), (out, err)
    return err.strip().removeprefix(f"bedside {command}: ").replace(str(pid), "PID")


def test_without_a_process_those_with_torch_are_listed(world):
    with_torch, without = world.python(TORCH), world.python(IDLE)

    status, out, _ = bedside(world, "attach")

    assert status == 0
    assert f"{with_torch.pid:>8}  {sys.executable} -c import torch;" in out
    assert f"{without.pid:>8}  " not in out


def test_no_such_process(world):
    gone = world.python("print()")
    gone.wait()

    assert refusal(world, gone.pid) == "there is no process PID; `bedside attach` lists the processes that train"


def test_a_process_that_nobody_has_waited_for(world):
    ended = world.python("print()")
    eventually(lambda: "State:\tZ" in Path(f"/proc/{ended.pid}/status").read_text())

    assert refusal(world, ended) == "process PID has ended, and nobody has asked for its status yet"


@as_root
def test_a_process_of_another_user(world):
    theirs = subprocess.Popen(["sleep", "100"], user=65534, group=65534)
    world.started.append(theirs)

    assert refusal(world, theirs) == ("process PID belongs to nobody, and you are root; only nobody may enter it")


@as_root
def test_under_sudo_a_process_of_the_user_who_typed_it_may_be_entered(monkeypatch):
    monkeypatch.setenv("SUDO_UID", "65534")

    assert target._may_enter(65534)
    assert not target._may_enter(65533)


def test_a_process_that_is_no_python(world):
    sleeps = subprocess.Popen(["sleep", "100"])
    world.started.append(sleeps)

    assert refusal(world, sleeps) == "process PID is no Python program (sleep 100)"


def test_a_python_without_torch(world):
    assert refusal(world, world.python(IDLE)) == (
        "process PID has no torch loaded; `bedside attach` lists the processes that have"
    )


def test_a_worker_of_a_loader(world):
    training = Training(world, "loader_with_workers")
    training.wait_until_it_trains()
    worker = int(Path(f"/proc/{training.pid}/task/{training.pid}/children").read_text().split()[0])

    assert refusal(world, worker) == (
        "process PID could not be given a probe: it is a worker of a DataLoader; attach to the process that started "
        f"it, {training.pid}"
    )
    training.end()


@as_root
def test_a_process_that_may_not_be_looked_into():
    reading, writing = os.pipe()
    if not os.fork():
        os.setuid(65534)  # from here on no other process of that user may look into this one, nor into its child
        if not (child := os.fork()):
            signal.pause()
        try:
            target.inspect(child)
        except target.Refused as error:
            os.write(writing, str(error).replace(str(child), "PID").encode())
        finally:
            os.kill(child, signal.SIGKILL)
            os._exit(0)
    os.close(writing)
    os.wait()
    with os.fdopen(reading) as said:
        assert said.read().startswith("process PID may not be looked into: the kernel forbids it")


def test_a_command_of_several_lines_is_listed_on_one(world):
    process = world.python("import torch, time\nprint('ready', flush=True)\ntime.sleep(100)  # \x1b[2J")

    line = next(line for line in bedside(world, "attach")[1].splitlines() if f"{process.pid:>8}  " in line)

    assert line.endswith("-c import torch, time print('ready', flush=True) time.sleep(100)  #  [2J")


def test_a_process_that_is_stopped(world):
    stopped = world.python(TORCH)
    stopped.send_signal(signal.SIGSTOP)
    eventually(lambda: "State:\tT" in Path(f"/proc/{stopped.pid}/status").read_text())

    assert refusal(world, stopped) == "process PID is stopped; continue it first (fg, or kill -CONT PID)"
    stopped.send_signal(signal.SIGCONT)


def test_a_process_that_a_debugger_holds(world):
    traced = world.python(TORCH)
    tracer = world.python(
        "import ctypes, time, sys; libc = ctypes.CDLL(None); "
        f"print(libc.ptrace(0x4206, {traced.pid}, None, None), flush=True); time.sleep(1000)"
    )

    said = refusal(world, traced)

    assert said.startswith(
        f"process PID is traced by process {tracer.pid} already ({sys.executable} -c import ctypes"
    )
    assert said.endswith("); end that first")


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        (1, "ptrace_scope is 1 on this machine; type: sudo bedside attach PID, or once: echo 0 | sudo tee "
            "/proc/sys/kernel/yama/ptrace_scope; next time `bedside run` needs no permission"),
        (2, "ptrace_scope is 2 on this machine; type: sudo bedside attach PID; next time `bedside run` needs no "
            "permission"),
        (3, "ptrace_scope is 3 on this machine, which forbids it to everybody until the next start; next time "
            "`bedside run` needs no permission"),
    ],
)  # fmt: skip
def test_the_kernels_setting_that_forbids_it_is_named(scope, said, tmp_path, monkeypatch):
    setting = tmp_path / "ptrace_scope"
    setting.write_text(f"{scope}\n")
    monkeypatch.setattr(target, "_PTRACE_SCOPE", setting)

    assert target.forbidden(os.getpid()).replace(str(os.getpid()), "PID") == said


def test_a_main_thread_in_one_long_call_is_left_alone_and_nothing_comes_later(world):
    blocked = world.python(
        "import torch, time; print('ready', flush=True); time.sleep(8); print('awake', flush=True)\n"
        "for _ in range(100): time.sleep(0.01)\n"
        "import sys; print('probe' in sys.modules)"
    )

    said = refusal(world, blocked)
    out, err = blocked.communicate(timeout=60)

    assert said == (
        "process PID has not answered within 5 s: its main thread runs no Python just now, it is in one long call of "
        "C code or waits for another thread. Nothing was put on; try again later"
    )
    assert (blocked.returncode, out, err) == (0, "awake\nFalse\n", "")


def test_a_detach_where_no_probe_is(world):
    assert refusal(world, world.python(TORCH), "detach") == "no probe is on process PID"


def test_an_attach_that_waits_is_taken_back(world):
    waits = world.python(TORCH)
    first = bedside(world, "attach", waits.pid)
    again = bedside(world, "attach", waits.pid)
    off = bedside(world, "detach", waits.pid)

    assert first[1].startswith("nothing is trained there yet; a probe waits for the first step; the training was")
    assert again[1].startswith("a probe waits there already for the end of a step; the training was")
    assert off[1].startswith(f"a probe that waited for a step taken off process {waits.pid}; the training was")
    assert refusal(world, waits, "detach") == "no probe is on process PID"


# --------------------------------------------------------------------------------------------- what it does not have


@pytest.fixture
def bare(tmp_path):
    """A folder with everything of our environment but what the probe needs beside torch."""
    site = Path(importlib.util.find_spec("torch").origin).parent.parent
    folder = tmp_path / "bare"
    folder.mkdir()
    for each in site.iterdir():
        if not each.name.lower().startswith(("zmq", "pyzmq", "msgspec", "platformdirs", "bedside", "_bedside")):
            (folder / each.name).symlink_to(each)
    return folder


def test_a_training_without_our_packages_is_lent_those_of_the_command_where_they_fit(world, bare):
    training = Training(world, "functional", command=(sys.executable, "-S"), env={"PYTHONPATH": str(bare)})
    said = attach(world, training)
    points = recorded(world)
    assert bedside(world, "detach", training.pid)[0] == 0

    own = training.end()["losses"]

    assert "on the record as plain_shapes" in said
    assert [value for _, value in points] == [own[step - 1] for step, _ in points]


def test_a_training_without_them_is_told_how_to_lend_it_some(world, bare, tmp_path, monkeypatch, capsys):
    training = Training(world, "functional", command=(sys.executable, "-S"), env={"PYTHONPATH": str(bare)})
    training.wait_until_it_trains()
    monkeypatch.setattr(attaching, "_own_folders", list)
    monkeypatch.setenv("BEDSIDE_HOME", str(world.home))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"

    assert attaching.attach(training.pid, models=[], name=None, folders=[]) == 2
    said = capsys.readouterr().err

    lent = tmp_path / "lent"
    lent.mkdir()
    site = Path(importlib.util.find_spec("msgspec").origin).parent.parent
    for each in ("msgspec", "zmq", "pyzmq.libs", "platformdirs"):
        if (site / each).exists():
            (lent / each).symlink_to(site / each)
    assert attaching.attach(training.pid, models=[], name=None, folders=[str(lent)]) == 0
    recorded(world)
    training.end()

    assert said == (
        f"bedside attach: process {training.pid} (Python {version}) has no msgspec and no pyzmq and no platformdirs, "
        "which the probe needs. Nothing is installed there; put it in a folder of its own and lend it: "
        f"{sys.executable} -m pip install --target ~/bedside-python{version} msgspec pyzmq platformdirs && "
        f"bedside attach {training.pid} --path ~/bedside-python{version}\n"
    )


# ------------------------------------------------------------------------------------------------------------ safety


def test_a_file_that_others_can_write_is_not_run(tmp_path):
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    assert unsafe(place) is None

    place.chmod(0o777)
    assert unsafe(place) == f"{place} can be written by others; take that right away (chmod go-w) to have it run"
    place.chmod(0o755)
    place.parent.chmod(0o757)
    assert (
        unsafe(place) == f"{place.parent} can be written by others; take that right away (chmod go-w) to have it run"
    )
    place.parent.chmod(0o1777)  # sticky, as /tmp: others may add files, and not replace this one
    assert unsafe(place) is None


def test_a_package_in_which_others_can_write_a_file_is_not_run(tmp_path):
    package, elsewhere = tmp_path / "package", tmp_path / "elsewhere"
    package.mkdir()
    (elsewhere / "inner").mkdir(parents=True)
    (package / "link").symlink_to(elsewhere)
    file = elsewhere / "inner" / "code.py"
    file.touch()
    assert unsafe_inside(package) is None

    file.chmod(0o666)

    assert (
        unsafe_inside(package) == f"{file} can be written by others; take that right away (chmod go-w) to have it run"
    )


@as_root
def test_a_file_of_somebody_else_is_not_run(tmp_path):
    place = tmp_path / "theirs"
    place.mkdir()
    os.chown(place, 65534, 65534)

    assert unsafe(place) == f"{place} belongs to nobody; only files of your own and of root are run"


def test_a_folder_that_others_can_write_is_not_lent(world, tmp_path):
    idle = world.python(TORCH)
    tmp_path.chmod(0o777)

    status, _, err = bedside(world, "attach", idle.pid, "--path", tmp_path)

    assert (status, idle.poll()) == (2, None)
    assert err.startswith(f"bedside attach: {tmp_path} can be written by others")
