"""``bedside attach PID``: real trainings that nobody has prepared, entered while they run, and left again."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from unprepared import Training, attach, bedside, messages, recorded, recorded_by_all, series
from world import eventually

from monitor.record.runfile import read_run
from probe import wire

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a running process can be entered on Linux only")

ON_THE_RECORD = re.compile(
    r"found (?P<found>.*)\n"
    r"on the record as (?P<name>\S+) \((?P<run>[0-9a-f]{8})\); (?P<before>[^;]*); "
    r"the training was stopped for \d+\.\d ms and then held up for \d+ ms\n"
    r"bedside watch (?P=run) shows it; bedside detach \d+ takes the probe off again\n"
)


QUICK = ("accumulated_amp", "hidden_from_the_collector")
LONG = (
    "loader_with_workers", "saving", "functional", "scheduled", "imported_name", "deep_in_objects",
    "evaluating", "compiled_model", "compiled_step",
)  # fmt: skip


@pytest.mark.parametrize("shape", [*QUICK, *(pytest.param(shape, marks=pytest.mark.slow) for shape in LONG)])
def test_a_running_loop_of_any_shape_is_on_the_record_with_its_own_losses_and_steps(world, shape):
    training = Training(world, shape)
    attach(world, training)
    recorded(world)
    assert bedside(world, "detach", training.pid)[0] == 0

    own = training.end()["losses"]

    points = series(world.run_files()[0], "train/loss")
    first = points[0][0]
    assert first > 1
    assert [step for step, _ in points] == list(range(first, first + len(points)))
    assert [value for _, value in points] == [own[step - 1] for step, _ in points]


def test_where_no_state_tells_of_earlier_steps_those_since_the_attach_are_counted(world):
    training = Training(world, "criterion_module")
    said = ON_THE_RECORD.fullmatch(attach(world, training))
    recorded(world)
    bedside(world, "detach", training.pid)

    own = training.end()["losses"]

    steps, values = zip(*series(world.run_files()[0], "train/loss"), strict=True)
    before = own.index(values[0])
    (mark, *_) = [mark for batch in messages(world, wire.Batch) for mark in batch.marks]
    assert said["before"] == "its steps so far are not known"
    assert (mark.step, mark.text) == (0, "attached to the running training; its earlier steps are not known")
    assert before > 0
    assert steps == tuple(range(1, len(values) + 1))
    assert list(values) == own[before : before + len(values)]


def test_several_trainings_are_listed_and_chosen_by_name(world):
    training = Training(world, "gan")
    training.wait_until_it_trains()
    listed = bedside(world, "attach", training.pid)
    wrong = bedside(world, "attach", training.pid, "--model", "critic")
    said = ON_THE_RECORD.fullmatch(
        attach(world, training, "--model", "discriminator", "--model", "generator", "--name", "pair")
    )
    recorded(world)
    bedside(world, "detach", training.pid)

    own = training.end()["losses"]

    candidates = (
        "\n  generator (Sequential, 216 parameters; Adam)\n  discriminator (Sequential, 161 parameters; Adam)\n"
    )
    choose = "bedside attach: several are trained there; choose with --model NAME, also more than once:"
    assert listed == (2, "", choose + candidates)
    assert wrong[2].startswith(f"bedside attach: no critic is trained in process {training.pid}; choose with --model")
    assert said["name"] == "pair"
    hello = messages(world, wire.Hello)[0]
    assert (hello.model, hello.optimizer, len(hello.layers)) == ("ModuleDict", "Adam", 4)
    key = "train/loss" if hello.groups[0].name == "discriminator/0" else "train/loss/discriminator"
    points = recorded(world, key)
    assert [value for _, value in points] == [own[step - 1] for step, _ in points]


@pytest.fixture
def job(world):
    """Two ranks under torchrun that train, and their processes in order."""
    job = Training(world, "two_ranks", command=(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"))
    job.wait_until_it_trains()
    return job, eventually(lambda: len(job.ranks()) == 2 and job.ranks())


def test_each_rank_of_a_job_under_torchrun_is_entered_by_itself(world, job):
    job, pids = job
    too_soon = bedside(world, "attach", pids[1])
    said = [bedside(world, "attach", pid) for pid in pids]
    files = recorded_by_all(world, 2)
    for pid in pids:
        assert bedside(world, "detach", pid)[0] == 0

    job.end()

    assert too_soon == (
        2, "",
        f"bedside attach: process {pids[1]} could not be given a probe: this is rank 1 of a job, and its rank 0 has "
        "no probe yet; attach to that first\n",
    )  # fmt: skip
    assert [status for status, _, _ in said] == [0, 0]
    assert "found network (DistributedDataParallel" in said[0][1]
    for rank in (0, 1):
        own = job.noted(rank)["losses"]
        (file,) = [file for file in files if next(iter(read_run(file))).rank == rank]
        points = series(file, "train/loss")
        assert [value for _, value in points] == [own[step - 1] for step, _ in points]


def test_a_rank_that_was_left_and_is_entered_again_takes_part_in_what_is_commanded_from_then_on(world, job):
    job, pids = job
    for pid in pids:
        assert bedside(world, "attach", pid)[0] == 0
    run_id = world.run_files()[0].stem.rpartition("-")[2].partition(".")[0]
    both = bedside(world, "do", run_id, "lr", "x0.5")
    assert bedside(world, "detach", pids[1])[0] == 0
    one = bedside(world, "do", run_id, "lr", "x0.25")
    assert bedside(world, "attach", pids[1])[0] == 0
    again = eventually(lambda: (said := bedside(world, "do", run_id, "lr", "x0.1"))[0] == 0 and said)

    rates = [rate for series_ in recorded_by_all(world, 3, "lr/0").values() for _, rate in series_]
    job.end()

    assert (both[0], again[0]) == (0, 0)
    assert one == (1, "", "bedside do: refused: rank 1 has no probe; call probe.attach on every rank\n")
    assert set(rates) == {1e-3, 0.5e-3, 1e-4}


# ------------------------------------------------------------------------------------------------- it leaves no trace


def cycles(world, training, number):
    """So many times on and off; how long the training was stopped and held up in each, in milliseconds."""
    paused = []
    for _ in range(number):
        for command in ("attach", "detach"):
            status, out, err = bedside(world, command, training.pid)
            assert (status, err) == (0, ""), err
            paused.append(
                tuple(map(float, re.search(r"for ([\d.]+) ms and then held up for (\d+) ms", out).groups()))
            )
    return paused


@pytest.mark.parametrize(
    ("shape", "number"),
    [
        ("functional", 2),
        pytest.param("criterion_module", 100, marks=pytest.mark.slow),
        pytest.param("accumulated_amp", 100, marks=pytest.mark.slow),
        pytest.param("loader_with_workers", 100, marks=pytest.mark.slow),
    ],
)
def test_on_and_off_again_and_again_changes_no_bit_of_the_training(world, shape, number):
    training = Training(world, shape, "--pace-s", "0.05")  # the twin has to make all its steps once more
    training.wait_until_it_trains()
    first = training.state()
    paused = cycles(world, training, number)
    # A loader's batches come and go, in files and sockets of their own: what is left over stays.
    eventually(lambda: training.state() == first, lambda: f"{training.state()}, not {first}")
    own = training.end()

    twin = Training(world, shape, "--pace-s", "0", "--steps", str(len(own["losses"])))
    twin.process.communicate(timeout=300)

    stopped, held = zip(*paused, strict=True)
    print(f"{shape}: stopped {max(stopped):.1f} ms and held up {max(held):.0f} ms at most, of {len(paused)}")
    assert twin.noted() == own


def test_nothing_is_left_in_the_process_once_the_probe_is_off(world):
    training = Training(world, "looks_at_itself")
    attach(world, training)
    assert bedside(world, "detach", training.pid)[0] == 0

    traces = training.end()["traces"]

    assert traces["at first"] == traces["at last"]
    assert traces["meanwhile"] != traces["at first"]


# ---------------------------------------------------------------------------------------------------- at odd moments


def test_an_attach_at_start_up_waits_for_the_first_step(world):
    start = world.folder / "start"
    training = Training(world, "functional", "--after", str(start))
    eventually(training.has_torch)

    def waits():
        status, out, err = bedside(world, "attach", training.pid)
        assert status == 0 or "it is importing torch just now" in err
        return "nothing is trained there yet; a probe waits for the first step" in out

    eventually(waits)
    start.touch()
    points = recorded(world)
    bedside(world, "detach", training.pid)

    own = training.end()["losses"]

    assert points[0] == (1, own[0])
    assert [value for _, value in points] == own[: len(points)]


@pytest.mark.slow
def test_an_attach_while_the_step_is_being_compiled_neither_fails_nor_disturbs(world):
    training = Training(world, "compiled_step", "--steps", "300")
    eventually(training.has_torch)
    tries = []
    while not training.notes.with_suffix(".begun").exists():
        tries.append(bedside(world, "attach", training.pid))
        tries.append(bedside(world, "detach", training.pid))
    training.process.communicate(timeout=120)
    own = training.noted()

    twin = Training(world, "compiled_step", "--steps", "300")
    twin.process.communicate(timeout=120)

    assert [err for status, _, err in tries if "Traceback" in err] == []
    assert twin.noted() == own


def test_two_attaches_at_once_put_on_one_probe(world):
    training = Training(world, "functional")
    training.wait_until_it_trains()
    words = [sys.executable, "-m", "monitor", "attach", str(training.pid)]
    both = [
        subprocess.Popen(words, env=world.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60) for process in both]
    recorded(world)

    assert [process.returncode for process in both] == [0, 0], said
    (name,) = {re.search(r"\(([0-9a-f]{8})\)", out)[1] for out, _ in said}
    assert [file.stem.rpartition("-")[2] for file in world.run_files()] == [name]
    training.end()


def test_a_target_that_ends_meanwhile_is_said_to_have_ended(world):
    blocked = world.python("import torch, time; print('ready', flush=True); time.sleep(1000)")
    attaching = subprocess.Popen(
        [sys.executable, "-m", "monitor", "attach", str(blocked.pid)],
        env={**world.env, "TMPDIR": str(world.folder)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    eventually(lambda: list(world.folder.glob("bedside-*/line")))
    blocked.kill()
    blocked.wait()

    out, err = attaching.communicate(timeout=60)

    assert (attaching.returncode, out) == (2, "")
    assert err == f"bedside attach: process {blocked.pid} has ended meanwhile\n"
