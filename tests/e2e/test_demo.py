"""``bedside demo``: real trainings on real data; a healthy one raises no alarm, each sick one its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest
from world import eventually

from monitor.commands.demo import explain_failure, program

#: A proxy that is not there, so that nothing is fetched on any machine.
NOWHERE = "http://127.0.0.1:9"
ALARM = re.compile(r"(warning|critical): (\S+)")

#: The alert that each fault raises, and how severe it is at least. Where two are named, either may come first.
EXPECTED = [
    ("lr-too-high", "critical", {"divergence", "non-finite"}),
    ("lr-too-low", "warning", {"slow"}),
    ("overfit", "notice|warning", {"overfitting"}),
    ("nan", "critical", {"non-finite"}),
    ("dead-relu", "critical", {"dead-units"}),
    ("imbalance", "warning", {"class-imbalance", "class-collapse"}),
]


def headless(world, *options):
    pytest.importorskip("sklearn", reason="the demo's data ship in scikit-learn: pip install 'bedside[demo]'")
    command = [sys.executable, "-m", "monitor", "demo", "--headless", *options]
    process = subprocess.Popen(command, env=world.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    world.started.append(process)
    return process


@pytest.mark.parametrize(
    "epochs", [["--epochs", "6"], pytest.param([], marks=pytest.mark.slow)], ids=["short", "whole"]
)
def test_a_healthy_training_raises_no_alarm_and_ends_with_0(world, epochs):
    output, errors = headless(world, *epochs).communicate(timeout=150)

    assert ALARM.findall(output) == []
    assert (output.splitlines()[-1].endswith("finished"), errors) == (True, "")


@pytest.mark.parametrize(
    ("fault", "severity", "rules"),
    [pytest.param(*each, id=each[0], marks=() if each[0] == "nan" else pytest.mark.slow) for each in EXPECTED],
)
def test_a_fault_raises_its_own_alert_with_its_step_and_what_to_do(world, fault, severity, rules):
    process = headless(world, "--fault", fault)
    assert process.stdout is not None
    wanted = re.compile(rf"({severity}): ({'|'.join(rules)}) \(began at step [\d,]+\): .+ → .+")

    seen = []
    for line in process.stdout:
        seen.append(line)
        if wanted.search(line):
            break
    else:
        pytest.fail("".join(seen))
    process.send_signal(signal.SIGINT)

    assert process.wait(timeout=30) == 130


def test_stopping_the_headless_demo_stops_its_training(world):
    process = headless(world)
    assert process.stdout is not None
    process.stdout.readline()
    eventually(world.live_entries)

    process.send_signal(signal.SIGINT)

    assert process.wait(timeout=30) == 130
    eventually(lambda: not world.live_entries(), "its recorder goes on")


def test_data_that_cannot_be_had_are_one_clear_line(world, tmp_path):
    world.env |= {"http_proxy": NOWHERE, "https_proxy": NOWHERE}
    process = headless(world, "--data", "cifar10", "--data-root", str(tmp_path / "none"))

    output, errors = process.communicate(timeout=120)

    assert (process.returncode, output) == (2, "")
    fetching, refused = errors.splitlines()
    assert fetching == "bedside demo: CIFAR-10 is fetched first, unless it is on disk"
    assert refused.startswith(f"bedside demo: the training did not start: CIFAR-10 is not under {tmp_path / 'none'}")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fault", "nan", "--model", "vgg11_bn"], "--fault makes the small CNN on the digits sick"),
        (["--fault", "nan", "--data", "cifar10"], "--fault makes the small CNN on the digits sick"),
        (["--epochs", "0"], "--epochs 0: one epoch is the least"),
    ],
)
def test_options_that_do_not_fit_are_one_clear_line(world, options, said):
    process = headless(world, *options)

    output, errors = process.communicate(timeout=60)

    assert (process.returncode, output, errors.count("\n")) == (2, "", 1)
    assert errors.startswith(f"bedside demo: {said}")


@pytest.mark.parametrize(
    ("printed", "shown"),
    [("disk full", "disk full\n"), ("Traceback\nboom", "boom\nTraceback\nboom\n"), ("one\nerror: two", "two\n")],
)
def test_what_a_training_said_last_is_said_once(tmp_path, capsys, printed, shown):
    with (tmp_path / "said").open("w+b") as output:
        training = subprocess.Popen([sys.executable, "-c", f"print({printed!r}); exit(1)"], stdout=output)
        training.wait()

        assert explain_failure(training, output.fileno(), "failed", 1) == 1

    assert capsys.readouterr().err == f"bedside demo: the training failed: {shown}"


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """One that is not active, with Bedside in it."""
    programs = tmp_path / "work" / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "bedside").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return programs


def test_the_way_back_to_the_screen_is_told_as_it_works_from_here(environment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "work")
    assert program() == ".venv/bin/bedside"


def test_outside_the_folder_of_its_environment_the_whole_path_is_told(environment, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert program() == str(environment / "bedside")


def test_where_the_shell_finds_bedside_its_name_is_enough(environment, monkeypatch):
    monkeypatch.setenv("PATH", str(environment))
    assert program() == "bedside"


def test_without_the_program_the_interpreter_is_told(environment):
    (environment / "bedside").unlink()
    assert program() == f"{environment}/python -m monitor"
