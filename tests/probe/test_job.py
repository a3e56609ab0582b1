"""The ranks of a job are one run: real ranks under torchrun (gloo), as their scripts would attach."""

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from monitor.record import registry
from monitor.record.runfile import read_run
from monitor.rows import points_of
from probe.wire import Batch

ROOT = Path(__file__).parents[2]

SCRIPT = """
import os, sys
import torch, torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
import probe

torch.set_num_threads(1)
torch.manual_seed(0)
model = nn.Linear(4, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
when = sys.argv[1]
if when == "before":
    run = probe.attach(model, optimizer, name="ranks")
dist.init_process_group("gloo")
rank = dist.get_rank()
if when == "sharded":
    wrapped = fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
else:
    wrapped = nn.parallel.DistributedDataParallel(model)
if when in ("after", "sharded"):
    run = probe.attach(wrapped, optimizer, name="ranks", every=1)
if when == "rank 1 only" and rank == 1:
    run = probe.attach(wrapped, optimizer, name="ranks")
for step in range(6):
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(10 * step + rank))
    loss = nn.functional.cross_entropy(wrapped(x), torch.arange(8) % 3)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    norm = sum(p.grad.square().sum().item() for p in model.parameters()) ** 0.5 if when != "sharded" else 0.0
if when != "rank 1 only" or rank == 1:
    print(f"{rank} {run.run_id} {loss.item()!r} {norm!r}\\n", end="", flush=True)
    run.detach()
dist.destroy_process_group()
"""


#: A job that its script starts itself: no rank stands in the environment.
SPAWNED = """
import os, sys
import torch, torch.distributed as dist, torch.multiprocessing as mp
import probe

def main(rank):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=rank, world_size=2)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 3))
    run = probe.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), name="ranks")
    for _ in range(6):
        run.log(rank=rank)
    run.detach()
    dist.destroy_process_group()

if __name__ == "__main__":
    mp.spawn(main, nprocs=2)
"""


class Job(NamedTuple):
    home: Path
    printed: list[list[str]]  # of each rank: rank, run id, its last loss, its last gradient norm
    errors: str


def run(folder, *words):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "BEDSIDE_HOME": str(folder)}
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def torchrun(folder, when):
    script = folder / "ranks.py"
    script.write_text(SCRIPT)
    done = run(folder, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script), when)
    return Job(folder, sorted(line.split() for line in done.stdout.splitlines()), done.stderr)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A job of each kind, which several tests look at."""
    return functools.cache(lambda when: torchrun(tmp_path_factory.mktemp("job"), when))


def values(path, key):
    """The value at each step, from a run file."""
    batches = [message for message in read_run(path) if isinstance(message, Batch)]
    return [float(value) for batch in batches for value in points_of(batch, key)[1]]


@pytest.mark.parametrize("when", [pytest.param("before", marks=pytest.mark.slow), "after"])
def test_the_ranks_of_a_job_share_one_id_and_the_next_job_has_another(job, tmp_path, when):
    first, second = job(when).printed, torchrun(tmp_path, when).printed
    assert [rank for rank, *_ in first] == ["0", "1"]
    assert len({run for _, run, *_ in first}) == 1
    assert len({run for _, run, *_ in second}) == 1
    assert first[0][1] != second[0][1]


def test_ranks_that_a_script_spawns_itself_have_a_file_each(tmp_path, monkeypatch):
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))
    script = tmp_path / "spawned.py"
    script.write_text(SPAWNED)
    run(tmp_path, str(script), str(tmp_path / "group"))

    entries = registry.run_files()
    assert len({entry.run_id for entry in entries}) == 1
    assert {entry.rank: values(entry.path, "user/rank") for entry in entries} == {0: [0.0] * 6, 1: [1.0] * 6}
    assert {next(iter(read_run(entry.path))).world_size for entry in entries} == {2}


@pytest.mark.parametrize("when", ["before", "after"], ids=["wrapped later", "wrapped"])
def test_under_ddp_each_rank_records_its_own_loss_and_the_norm_that_all_share(job, monkeypatch, when):
    home, printed, _ = job(when)
    monkeypatch.setenv("BEDSIDE_HOME", str(home))
    assert printed[0][2] != printed[1][2]
    assert printed[0][3] == printed[1][3]
    entries = sorted(registry.run_files(), key=lambda entry: entry.rank)
    assert [(entry.run_id, entry.rank) for entry in entries] == [(printed[0][1], 0), (printed[0][1], 1)]
    for entry, (_, _, loss, norm) in zip(entries, printed, strict=True):
        assert values(entry.path, "train/loss")[5] == pytest.approx(float(loss), rel=1e-6)
        assert values(entry.path, "grad/norm")[5] == pytest.approx(float(norm), rel=1e-5)


def test_of_sharded_parameters_each_rank_records_its_loss_and_no_norm_and_says_so(job, monkeypatch):
    home, printed, errors = job("sharded")
    monkeypatch.setenv("BEDSIDE_HOME", str(home))
    for entry in registry.run_files():
        assert values(entry.path, "train/loss")[5] == pytest.approx(float(printed[entry.rank][2]), rel=1e-6)
        assert values(entry.path, "grad/norm") == []
    said = "Gradient and weight norms are not available: the parameters are sharded over ranks."
    assert [line for line in errors.splitlines() if "Bedside" in line] == [f"Bedside: {said}"] * 2


def test_a_rank_that_rank_0_leaves_alone_is_a_run_of_its_own_and_says_so(job):
    _, printed, errors = job("rank 1 only")
    assert [rank for rank, *_ in printed] == ["1"]
    assert "Bedside: rank 0 has said no run id within 5 s; rank 1 is recorded as a run of its own" in errors
