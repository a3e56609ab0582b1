"""``bedside run``: a script behaves as it does without, and is on the record."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from unprepared import Training, bedside, messages, series
from world import HERE, eventually

from probe import wire

RUN = (sys.executable, "-m", "monitor", "run")


@pytest.fixture
def both(world, tmp_path):
    """Run a script alone and under ``bedside run``; gives what both did: status, standard output, standard error."""

    def run(code, *words, how=(), program=("script.py",), **options):
        (tmp_path / "script.py").write_text(textwrap.dedent(code))
        done = []
        for command in ((sys.executable, *how), (*RUN, *how)):
            process = subprocess.run(
                [*command, *program, *words],
                env=world.env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120, **options,
            )  # fmt: skip
            done.append((process.returncode, process.stdout, process.stderr))
        return done

    return run


#: Prints everything that a script can see of how it was started.
LOOK = """
    import os, sys
    main = sys.modules["__main__"]
    print(sorted(vars()), __name__, __file__, __doc__, __package__, __spec__, __cached__)
    print(type(__loader__).__name__, __loader__.path, __loader__.name)
    print(sys.argv, sys.orig_argv[1:], sys.path[:2], os.getcwd(), vars(main) is globals())
    print(sys.flags)
    print(sys.stdin.read())
"""


def test_a_script_sees_what_it_sees_alone(both):
    alone, under = both(LOOK, "--lr", "0.1", "-h", "--", "x", input="typed\n")

    assert alone[0] == 0
    assert under == alone


def test_a_script_in_another_folder_finds_its_neighbours_first(both, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "neighbour.py").write_text("name = 'beside'")
    (inner / "train.py").write_text("import sys, neighbour; print(neighbour.name, sys.path[0], __file__)")
    (tmp_path / "link.py").symlink_to(inner / "train.py")

    alone, under = both("", program=("inner/train.py",))
    assert (alone[0], under) == (0, alone)
    alone, under = both("", program=("link.py",))
    assert (alone[0], under) == (0, alone)


def test_a_module_of_a_package_has_its_relative_imports(both, tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("name = 'part'")
    (package / "__main__.py").write_text("from .train import *")
    code = (
        "import sys\nfrom .part import name\nprint(name, __name__, __package__, __spec__.name, sys.argv, sys.path[0])"
    )
    (package / "train.py").write_text(code)

    alone, under = both("", "--lr", "1", how=("-m",), program=("package.train",))
    assert (alone[0], under) == (0, alone)
    alone, under = both("", how=("-m",), program=("package",))
    assert (alone[0], under) == (0, alone)
    alone, under = both("", how=("-m",), program=("package.nothing",))
    assert (alone[0], under) == (1, alone)


def test_a_folder_with_a_main_is_run_as_python_runs_it(both, tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "part.py").write_text("name = 'part'")
    (tmp_path / "job" / "__main__.py").write_text(
        "import sys, part\nprint(part.name, sys.argv, sys.path[0], __file__)"
    )

    alone, under = both("", "x", program=("job",))

    assert (alone[0], under) == (0, alone)


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit(3)",
        "import sys; sys.exit('told why')",
        "import os; os._exit(4)",
        "raise ValueError('wrong')",
        "def f():\n    g()\ndef g():\n    raise KeyError(1) from ValueError(2)\nf()",
        "print('no end'",
        "import sys\nsys.excepthook = lambda *_: print('own hook')\n1/0",
        "import atexit, threading, time\natexit.register(print, 'at exit')\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), print('thread', __name__))).start()\nraise SystemExit(5)",
        "import os\nos.close(1)",
    ],
)
def test_a_script_ends_as_it_ends_alone(both, code):
    alone, under = both(code)

    assert under == alone


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGABRT])
def test_a_script_that_a_signal_ends_ends_us_by_the_same_and_it_is_named(both, number):
    alone, under = both(f"import os; os.kill(os.getpid(), {int(number)})")

    assert (alone[0], under[:2]) == (-number, alone[:2])
    assert under[2] == alone[2] + f"bedside run: script.py was ended by {number.name}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_sent_to_us_reaches_the_script_once(world, tmp_path, number):
    script = tmp_path / "handler.py"
    script.write_text(
        f"import signal, time\ncaught = []\nsignal.signal({int(number)}, lambda *_: caught.append(1))\n"
        "print('ready', flush=True)\nwhile not caught: time.sleep(0.01)\ntime.sleep(0.3)\nprint(len(caught))\n"
    )
    process = subprocess.Popen([*RUN, str(script)], env=world.env, stdout=subprocess.PIPE, text=True)
    world.started.append(process)
    assert process.stdout.readline() == "ready\n"

    process.send_signal(number)
    out, _ = process.communicate(timeout=60)

    assert (process.returncode, out) == (0, "1\n")


def test_ctrl_c_in_a_terminal_reaches_the_script_once(world, tmp_path):
    script = tmp_path / "loop.py"
    script.write_text(
        "import time\nfor _ in range(2):\n    try:\n        print('waits', flush=True)\n        time.sleep(1.5)\n"
        "    except KeyboardInterrupt:\n        print('interrupted', flush=True)\n"
    )
    leader, follower = os.openpty()
    process = subprocess.Popen(
        [*RUN, str(script)], env=world.env, stdin=follower, stdout=follower, stderr=follower, close_fds=True,
        preexec_fn=lambda: (os.setsid(), os.close(os.open(os.ttyname(0), os.O_RDWR))),  # noqa: PLW1509
    )  # fmt: skip
    world.started.append(process)
    os.close(follower)
    said = b""
    while b"waits" not in said:
        said += os.read(leader, 1000)
    os.write(leader, b"\x03")
    process.wait(timeout=60)
    said += os.read(leader, 1000)
    os.close(leader)

    assert (process.returncode, said.count(b"interrupted"), said.count(b"waits")) == (0, 1, 2)


def test_whoever_kills_us_kills_the_script(world):
    process = subprocess.Popen(
        [*RUN, "-m", "timeit", "-n1", "-r1", "-s", "import os; print(os.getpid(), flush=True)",
         "import time; time.sleep(100)"],
        env=world.env, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    world.started.append(process)
    child = int(process.stdout.readline())

    process.kill()
    process.wait()

    eventually(lambda: not Path(f"/proc/{child}").exists())


def test_processes_started_by_multiprocessing_find_the_script_as_alone(both):
    alone, under = both(
        """
        import multiprocessing as mp, sys, os

        class Item:
            value = 7

        def work(item, queue):
            queue.put((item.value, __name__, sys.argv, sys.path[0], "torch" in sys.modules))

        if __name__ == "__main__":
            for method in ("spawn", "fork", "forkserver"):
                context = mp.get_context(method)
                queue = context.Queue()
                child = context.Process(target=work, args=(Item(), queue))
                child.start()
                print(method, queue.get(), child.join(), child.exitcode)
        """,
        "--option",
    )

    assert (alone[0], under) == (0, alone)


# --------------------------------------------------------------------------------------------------- on the record


QUICK = ("accumulated_amp",)
LONG = (
    "loader_with_workers", "criterion_module", "functional", "scheduled", "imported_name",
    "hidden_from_the_collector", "deep_in_objects", "compiled_model",
)  # fmt: skip


@pytest.mark.parametrize("shape", [*QUICK, *(pytest.param(shape, marks=pytest.mark.slow) for shape in LONG)])
def test_a_loop_of_any_shape_is_on_the_record_from_its_first_step(world, shape):
    training = Training(world, shape, "--steps", "60", command=RUN)
    _, errors = training.process.communicate(timeout=120)
    alone = Training(world, shape, "--steps", "60")
    alone.process.communicate(timeout=120)
    eventually(lambda: not world.live_entries())

    own = training.noted()

    assert training.process.returncode == 0
    assert errors == ""
    assert own == alone.noted()
    assert series(world.run_files()[0], "train/loss") == list(enumerate(own["losses"], 1))
    assert messages(world, wire.Goodbye)[0].reason == "finished"


@pytest.mark.slow
def test_a_step_that_is_compiled_whole_is_on_the_record_from_its_second_step(world):
    training = Training(world, "compiled_step", "--steps", "60", command=RUN)
    training.process.communicate(timeout=120)
    eventually(lambda: not world.live_entries())

    own = training.noted()["losses"]

    assert training.process.returncode == 0
    assert series(world.run_files()[0], "train/loss") == list(enumerate(own, 1))[1:]


def test_the_two_networks_of_a_gan_are_one_run(world):
    training = Training(world, "gan", "--steps", "60", command=RUN)
    training.process.communicate(timeout=120)
    eventually(lambda: not world.live_entries())

    hello = messages(world, wire.Hello)[0]

    assert (hello.model, len(hello.layers), [group.name for group in hello.groups]) == (
        "ModuleDict", 4, ["generator/0", "discriminator/0"],
    )  # fmt: skip
    assert [step for step, _ in series(world.run_files()[0], "train/loss")] == list(range(1, 61))


def test_it_records_what_the_two_lines_record(world):
    plain = ast.parse((HERE / "small_training.py").read_text())
    plain.body = [statement for statement in plain.body if "probe" not in ast.unparse(statement)]
    script = world.folder / "small_plain.py"
    script.write_text(ast.unparse(plain))
    words = ("--steps", "60")
    prepared = world.train(*words)
    prepared.communicate(timeout=120)
    process = subprocess.run(
        [*RUN, str(script), *words], env=world.env, capture_output=True, text=True, timeout=120, check=True
    )
    eventually(lambda: not world.live_entries())

    one, other = sorted(world.run_files(), key=lambda file: "plain" in file.name)

    assert process.stderr == ""
    for key in ("train/loss", "grad/norm", "val/loss", "train/accuracy", "val/accuracy", "lr/0"):
        assert series(one, key) == series(other, key)


def test_ranks_that_torchrun_starts_under_it_are_on_the_record(world):
    job = Training(
        world, "two_ranks", "--steps", "60",
        command=(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--no-python", *RUN),
    )  # fmt: skip
    _, errors = job.process.communicate(timeout=120)
    assert job.process.returncode == 0, errors
    eventually(lambda: not world.live_entries())

    recorded = [[value for _, value in series(file, "train/loss")] for file in world.run_files()]

    assert sorted(recorded) == sorted([job.noted(0)["losses"], job.noted(1)["losses"]])


def test_a_second_training_of_the_same_script_is_a_second_run(world):
    script = world.folder / "folds.py"
    script.write_text(
        "import torch\nfor fold in range(2):\n    model = torch.nn.Linear(4, 2)\n"
        "    sgd = torch.optim.SGD(model.parameters(), 0.1)\n    for _ in range(10 + fold):\n"
        "        sgd.zero_grad(); model(torch.ones(3, 4)).sum().backward(); sgd.step()\n"
    )
    subprocess.run([*RUN, str(script)], env=world.env, check=True, timeout=120)
    eventually(lambda: not world.live_entries())

    assert sorted(len(series(file, "train/loss")) for file in world.run_files()) == [10, 11]


def test_a_script_with_a_module_of_the_same_name_gets_its_own_and_no_record(both, world, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "probe.py").write_text("name = 'linear probe'")
    (inner / "train.py").write_text("import torch, probe; print(probe.name)")
    alone, under = both("", program=("inner/train.py",))

    assert under[:2] == alone[:2] == (0, "linear probe\n")
    assert under[2] == (
        f"bedside run: not recorded (the program has a module 'probe' of its own, {inner / 'probe.py'}); "
        "the script runs on\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing.py",), "no file 'nothing.py' here; a Python script is needed, or -m and a module's name"),
        (("/",), "/ is a folder without a __main__.py; a Python script is needed, or -m and a module's name"),
        (
            ("bash",),
            "bash is a program of its own; let it start `bedside run`, as in: torchrun --no-python bedside run",
        ),
    ],
)
def test_what_is_no_script_is_one_line_and_status_2(world, words, said):
    assert bedside(world, "run", *words) == (2, "", f"bedside run: {said}\n")


def test_the_signal_that_ended_a_training_is_on_the_record(world):
    training = Training(world, "functional", command=RUN)
    training.wait_until_it_trains()
    (entry,) = eventually(world.live_entries)
    os.kill(json.loads(entry.read_text())["pid"], signal.SIGKILL)
    _, errors = training.process.communicate(timeout=60)
    eventually(lambda: not world.live_entries())

    (goodbye,) = messages(world, wire.Goodbye)

    assert (training.process.returncode, goodbye.reason, goodbye.signal) == (-signal.SIGKILL, "signal", "SIGKILL")
    assert errors.endswith("plain_shapes.py was ended by SIGKILL\n")
