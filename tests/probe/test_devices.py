"""Memory, and what the driver of the GPUs says, against what others say of the same."""

import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import probe
from probe import host
from probe.collectors import Moment, Subject, memory
from probe.records import StepRecord

ROOT = Path(__file__).parents[2]


def subject():
    model = nn.Linear(2, 2)
    return Subject(model, (), {"": torch.optim.SGD(model.parameters(), lr=0.1)})


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_resident_memory_is_what_psutil_says_on_every_system(monkeypatch, platform):
    psutil = pytest.importorskip("psutil")
    monkeypatch.setattr(memory.sys, "platform", platform)
    collector = memory.Memory(subject())
    moment = Moment(1, heavy=True, detailed=True)
    collector.collect(moment)
    collector.close()
    assert moment.scalars["memory/rss_bytes"] == pytest.approx(psutil.Process().memory_info().rss, rel=0.02)


def test_outside_linux_without_psutil_there_is_no_figure(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "psutil", None)  # an import then raises ImportError
    moment = Moment(1, heavy=True, detailed=True)
    memory.Memory(subject()).collect(moment)
    assert moment.scalars == {}


def test_memory_on_cuda_is_the_allocators_allocated_and_reserved(monkeypatch):
    first, second = torch.device("cuda", 0), torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "memory_allocated", {first: 10, second: 20}.get)
    monkeypatch.setattr(torch.cuda, "memory_reserved", {first: 100, second: 200}.get)
    properties = {first: SimpleNamespace(total_memory=1000), second: SimpleNamespace(total_memory=2000)}
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties.get)
    monkeypatch.setattr(Subject, "cuda_devices", (first, second))
    moment = Moment(1, heavy=True, detailed=True)
    memory.Memory(subject()).collect(moment)
    assert moment.scalars["memory/allocated_bytes"] == 30.0
    assert moment.scalars["memory/reserved_bytes"] == 300.0
    assert moment.readings[0].interpret([]).facts["device_memory_bytes"] == 3000.0


def test_where_detailed_steps_are_rare_memory_is_read_each_ten_steps():
    collector = memory.Memory(subject())
    moments = [Moment(step, heavy=True, detailed=step == 25) for step in range(1, 40)]
    for moment in moments:
        collector.collect(moment)
    collector.close()
    assert [m.step for m in moments if "memory/rss_bytes" in m.scalars] == [1, 11, 21, 25, 35]


def test_what_a_process_may_use_is_said_once(monkeypatch):
    psutil = pytest.importorskip("psutil")
    monkeypatch.setattr(memory, "container_limit", lambda groups, root: math.inf)
    collector = memory.Memory(subject())
    moments = [Moment(step, heavy=True, detailed=True) for step in (10, 20)]
    for moment in moments:
        collector.collect(moment)
    collector.close()
    said = [reading.interpret([]).facts for moment in moments for reading in moment.readings]
    assert said == [{"memory_limit_bytes": float(psutil.virtual_memory().total)}]


@pytest.mark.parametrize("groups", ["0::/job/7\n", "9:name=systemd:/\n4:memory:/job/7\n0::/\n"])
def test_in_a_container_the_least_limit_of_its_groups_counts(tmp_path, groups):
    base, name = (
        (tmp_path, "memory.max") if groups.startswith("0") else (tmp_path / "memory", "memory.limit_in_bytes")
    )
    (base / "job" / "7").mkdir(parents=True)
    (base / "job" / "7" / name).write_text("max\n" if groups.startswith("0") else f"{2**63 - 4096}\n")
    (base / "job" / name).write_text("8000000\n")
    assert memory.container_limit(groups, tmp_path) == 8000000.0


class FakeEvent:
    """An event of CUDA's interface that has passed; 7 ms lie between two of them."""

    recorded = 0

    def __init__(self, *, enable_timing):
        assert enable_timing

    def record(self):
        FakeEvent.recorded += 1
        self.at_ms = 7.0 * FakeEvent.recorded

    def query(self):
        return True

    def elapsed_time(self, end):
        return end.at_ms - self.at_ms


def test_a_model_that_is_moved_to_its_device_after_attach_is_measured_there(monkeypatch, senders):
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe.attach(model, optimizer, every=1)
    monkeypatch.setattr(Subject, "cuda_devices", (torch.device("cuda", 0),))
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=1000))
    said = {"memory_allocated": 10, "memory_reserved": 100, "utilization": 35, "temperature": 71}
    for name, value in said.items():
        monkeypatch.setattr(torch.cuda, name, lambda _, value=value: value)
    for _ in range(2):
        model(torch.randn(2, 4)).sum().backward()
        optimizer.step()
    assert senders.last.series("memory/allocated_bytes") == [(1, 10.0), (2, 10.0)]
    assert senders.last.series("gpu/temperature_c") == [(1, 71.0)]
    assert senders.last.series("time/forward_s") == [(2, pytest.approx(0.007))]
    assert senders.last.facts()["device_memory_bytes"] == 1000.0


class Away:
    """A copy to the host that never arrives."""

    def __init__(self, device, tensors):
        assert device.type == "meta"

    def ready(self):
        return False


def test_the_rows_of_a_model_that_is_moved_after_attach_wait_for_their_numbers(monkeypatch, senders):
    monkeypatch.setattr(host, "_Copy", Away)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    budget = probe.attach(model, optimizer)._line.watch.steps.budget
    budget.every, budget.judge = 512, lambda *_: False
    for parameter in model.parameters():
        torch.utils.swap_tensors(parameter, nn.Parameter(torch.empty_like(parameter, device="meta")))
    x, y = torch.empty(3, 4, device="meta"), torch.zeros(3, dtype=torch.long, device="meta")
    for _ in range(20):
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    rows = [record for record in senders.last.records if isinstance(record, StepRecord)]
    assert senders.last.heartbeat().faults == []
    assert [record._step for record in rows] == [*range(1, 21)]
    assert not any(record.ready() for record in rows)


FAKE_PYNVML = '''
"""The part of nvidia-ml-py that torch calls, for a machine of three GPUs."""
from collections import namedtuple

Utilization = namedtuple("Utilization", "gpu memory")
calls = []

class NVMLError(Exception): ...
class NVMLError_DriverNotLoaded(NVMLError): ...

def nvmlInit():
    calls.append("init")
    if not WORKS:
        raise NVMLError("Driver/library version mismatch")

def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetUtilizationRates(handle): return Utilization(gpu=[90, 35, 70][handle], memory=1)
def nvmlDeviceGetTemperature(handle, sensor): return [40, 71, 65][handle]
'''

ASK_GPUS = """
import torch
from torch import nn
from probe.collectors import Moment, Subject, gpu
import probe.host

gpu.monotonic = lambda: clock
model = nn.Linear(2, 2)
Subject.cuda_devices = (torch.device("cuda", 0), torch.device("cuda", 1))
collector = gpu.Gpus(Subject(model, (), {}))
for clock in (1000.0, 1004.9, 1005.0):
    moment = Moment(1, heavy=True, detailed=True)
    collector.collect(moment)
    print([dict(reading.interpret([]).scalars) for reading in moment.readings])
"""


def ask_gpus(folder, *, works):
    """In a process where ``pynvml`` is the fake one, and CUDA's devices 0 and 1 are the driver's 2 and 1."""
    (folder / "pynvml.py").write_text(f"WORKS = {works}\n{FAKE_PYNVML}")
    environment = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "CUDA_VISIBLE_DEVICES": "2,1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", ASK_GPUS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [eval(line) for line in done.stdout.splitlines()]


def test_of_several_gpus_the_least_busy_and_the_hottest_are_said_at_most_each_five_seconds(tmp_path):
    row = {"gpu/utilization_frac": 0.35, "gpu/temperature_c": 71.0}
    assert ask_gpus(tmp_path, works=True) == [[row], [], [row]]


def test_a_driver_that_does_not_answer_is_not_asked_again(tmp_path):
    assert ask_gpus(tmp_path, works=False) == [[{}], [], []]
