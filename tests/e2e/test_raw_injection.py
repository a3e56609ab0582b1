"""The ways into a process by themselves: a program entered a thousand times goes on as if nothing had been."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from world import eventually

from monitor.inject import Target, gdb, inject, inspect, remote

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a running process can be entered on Linux only")

#: Vector registers, a timer's signal a hundred times a second, and system calls that are interrupted. It prints how
#: often it was entered, and what it computed, which no run may change.
PROGRAM = """
import sys
import math, signal, time, torch
torch.manual_seed(0); torch.set_num_threads(1)
ticks = []
signal.signal(signal.SIGALRM, lambda *_: ticks.append(1)); signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
entered = []
values = torch.randn(64, 64); sums = []
print("ready", flush=True)
for step in range({steps}):
    values = torch.nn.functional.gelu(values @ values.T / 64 + 0.1)
    sums.append(float(values.sum()) + math.fsum(math.sin(i) for i in range(50)))
    time.sleep(0.0005)
signal.setitimer(signal.ITIMER_REAL, 0)
print(len(entered), bool(ticks), sum(sums), [name for name in globals() if "bedside" in name])
"""


def program(world, steps):
    return world.python(PROGRAM.format(steps=steps))


def enter(process, number, way=inject):
    target = inspect(process.pid)
    stopped = []
    for _ in range(number):
        stopped.append(way(target, "entered.append(1)"))
        time.sleep(0.002)
    return stopped


@pytest.mark.parametrize("number", [25, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_program_that_is_entered_again_and_again_computes_what_it_computes_alone(world, number):
    steps = 1000 + 20 * number
    entered = program(world, steps)
    stopped = enter(entered, number)

    out, err = entered.communicate(timeout=300)
    undisturbed, _ = program(world, steps).communicate(timeout=300)

    print(f"stopped {statistics.median(stopped) * 1e3:.2f} ms (median), {max(stopped) * 1e3:.2f} ms at most")
    assert (entered.returncode, err) == (0, "")
    assert out == undisturbed.replace("0 True", f"{number} True", 1)


def test_a_program_in_a_sleep_sleeps_as_long_as_it_was_to(world):
    sleeper = world.python(
        "import torch, time; entered = []; print('ready', flush=True); began = time.monotonic(); time.sleep(3); "
        "print(time.monotonic() - began >= 3)"
    )
    enter(sleeper, 20)

    out, err = sleeper.communicate(timeout=60)

    assert (out, err) == ("True\n", "")


def test_an_error_in_what_is_run_there_ends_nothing(world):
    process = program(world, 2000)
    target = inspect(process.pid)
    inject(target, "raise ValueError('ours')")
    inject(target, "entered.append(1)")

    out, err = process.communicate(timeout=60)

    assert (process.returncode, out.split()[0], err) == (0, "1", "")


def test_a_program_that_is_killed_while_it_is_entered_is_no_error_of_ours(world):
    from monitor.inject import Refused

    process = program(world, 10**6)
    target = inspect(process.pid)
    process.kill()
    process.wait()

    with pytest.raises(Refused, match=rf"^process {process.pid} has ended meanwhile$"):
        inject(target, "pass")


@pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed: apt-get install gdb")
def test_gdb_is_a_way_in_too(world):
    process = program(world, 4000)
    (took_s,) = enter(process, 1, way=gdb.inject)
    eventually(lambda: process.poll() is not None)

    out, err = process.communicate()

    print(f"gdb took {took_s * 1e3:.0f} ms")
    assert (process.returncode, out.split()[0], err) == (0, "1", "")


@pytest.mark.skipif(shutil.which("python3.14") is None, reason="python3.14 is not installed")
def test_a_python_from_3_14_on_is_entered_by_its_own_door(world):
    python = Path(shutil.which("python3.14")).resolve()
    process = subprocess.Popen(
        [python, "-c", "import time; entered = []; print('ready', flush=True)\nwhile not entered: time.sleep(0.01)"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    world.started.append(process)
    process.stdout.readline()

    stopped_s = remote.inject(Target(process.pid, os.geteuid(), 0, 0, (3, 14), python), "entered.append(1)")
    _, err = process.communicate(timeout=60)

    assert (stopped_s, process.returncode, err) == (0.0, 0, "")
