"""The floors, checked where static analysis cannot see: what an import really brings in, in a clean interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ["torch", "torchvision", "textual", "rich", "numpy", "zmq", "sqlite3", "plotext", "sklearn", "platformdirs"]


def brings_in(code: str) -> set[str]:
    """The heavy packages that are loaded after ``code`` ran in a fresh interpreter."""
    probe = f"{code}\nimport sys\nprint('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.rpartition("LOADED")[2].split())


def command(*words: str) -> str:
    """Code that runs a command and goes on after its SystemExit."""
    return f"from monitor.cli import main\ntry:\n    main({list(words)!r})\nexcept SystemExit:\n    pass"


def test_importing_the_probe_brings_in_no_torch():
    assert brings_in("import probe") == set()


def test_importing_the_wire_brings_in_nothing_heavy():
    assert brings_in("import probe.wire") == set()


def test_importing_the_monitor_brings_in_nothing_heavy():
    assert brings_in("import monitor") == set()


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["watch", "--help"]])
def test_help_brings_in_no_textual_and_no_numpy(words):
    assert brings_in(command(*words)) == set()


@pytest.mark.parametrize(
    "words",
    [["runs"], ["rules"], ["rules", "spike"], ["watch", "nobody"], ["tail", "nobody"], ["diagnose", "nothing.csv"],
     ["doctor"]],
)  # fmt: skip
def test_no_command_brings_in_torch(words, tmp_path, monkeypatch):
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))

    assert not brings_in(command(*words)) & {"torch", "torchvision", "sklearn"}


def test_the_app_brings_in_no_sockets_and_no_torch():
    assert not brings_in("import monitor.app.app") & {"torch", "zmq", "sqlite3", "plotext"}


def test_the_engine_and_its_rules_bring_in_no_sockets_and_no_screen():
    assert not brings_in("import monitor.engine, monitor.rules") & {"torch", "zmq", "sqlite3", "textual", "rich"}


def test_the_recorder_brings_in_no_torch_and_no_screen():
    assert not brings_in("import monitor.record.recorder") & {"torch", "textual", "rich", "plotext"}


def test_the_sender_brings_in_no_torch():
    assert not brings_in("import probe.sender") & {"torch", "numpy"}


def test_the_collectors_bring_in_no_sockets():
    assert not brings_in("import probe.collectors") & {"zmq"}
