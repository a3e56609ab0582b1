"""``bedside attach`` and ``bedside detach``: a probe on a process that runs already, and off again."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from monitor.inject import Refused, Target, candidates, inject, inspect
from monitor.inject.private import unsafe, unsafe_inside
from monitor.record import registry

USAGE = 2
#: How long the process is given to say a first word: it can only do so when its main thread runs Python.
HEARD_S = 5.0
#: How long it then may import, search, or wait for the end of a step.
PATIENCE_S = 5.0
#: How long its recorder may take to start.
SERVED_S = 5.0
#: What the probe needs there, by the names that ``pip`` knows.
PACKAGES = {"zmq": "pyzmq"}
#: As the files of those begin, with the libraries that come along.
_LENT = ("msgspec", "zmq", "pyzmq", "numpy", "platformdirs")


@dataclass
class Answer:
    """What the process said, one word after the other, and what it took."""

    words: dict[str, Any] = field(default_factory=dict)
    stopped_s: float = 0.0
    took_s: float = 0.0


def attach(pid: int | None, *, models: Sequence[str], name: str | None, folders: Sequence[str]) -> int:
    """Put a probe on a process; without one list those that could be meant. Returns the exit status."""
    if pid is None:
        return _list()
    try:
        answer = _ask(pid, {"do": "attach", "models": list(models), "name": name}, folders)
    except Refused as error:
        return _refuse("attach", error)
    return _tell_attached(pid, answer, models)


def detach(pid: int) -> int:
    """Take every probe off a process. Returns the exit status."""
    try:
        answer = _ask(pid, {"do": "detach"}, [])
    except Refused as error:
        return _refuse("detach", error)
    words = answer.words
    if not words.get("detached") and not words.get("waiting"):
        return _refuse("detach", Refused(f"no probe is on process {pid}"))
    runs = " and ".join(words["detached"]) or "a probe that waited for a step"
    print(f"{runs} taken off process {pid}; {_pause(answer)}. The training goes on.")
    if words.get("rates"):
        rates = ", ".join(words["rates"])
        print(f"with it ends: learning rate {rates}; after step {words['step']} it is the script's own")
    if words.get("held"):
        print("with it ends: the pause")
    return 0


def _list() -> int:
    """The processes that could be meant."""
    if sys.platform != "linux":
        return _refuse("attach", Refused("a running process can be entered on Linux only; use `bedside run` here"))
    found = candidates()
    if not found:
        print("no Python process of yours has torch loaded")
    for each in found:
        print(f"{each.pid:>8}  {each.command}")
    return 0


def _tell_attached(pid: int, answer: Answer, models: Sequence[str]) -> int:
    words = answer.words
    if "candidates" in words:
        there = "".join(f"\n  {candidate}" for candidate in words["candidates"])
        wrong = f"no {' and '.join(models)} is trained in process {pid}" if models else "several are trained there"
        print(f"bedside attach: {wrong}; choose with --model NAME, also more than once:{there}", file=sys.stderr)
        return USAGE
    if found := words.get("found"):
        beside = f", with {', '.join(words['beside'])}" if words["beside"] else ""
        print(f"found {found}{beside}")
    if "attached" in words:
        name = shlex.quote(words["name"])
        if words.get("already"):
            print(f"process {pid} is on the record already, as {name} ({words['attached']})")
        else:
            known = f"{words['step']} steps were done before" if words["step"] else "its steps so far are not known"
            print(f"on the record as {name} ({words['attached']}); {known}; {_pause(answer)}")
        shown = f"bedside watch {words['attached']} shows it"
        if not _is_served(words["attached"]):
            shown = f"its recorder is not there yet, or writes elsewhere than {registry.home()}"
        print(f"{shown}; bedside detach {pid} takes the probe off again")
        return 0
    print(f"{words['waiting']}; {_pause(answer)}")
    return 0


def _is_served(run_id: str) -> bool:
    """Whether the run can be watched; its recorder is given the time to start."""
    deadline = time.monotonic() + SERVED_S
    while time.monotonic() < deadline:
        if any(run.run_id == run_id for run in registry.live_runs()):
            return True
        time.sleep(0.02)
    return False


def _pause(answer: Answer) -> str:
    """What it cost the training: it was stopped, and then waited for what was done in it."""
    waited_s = answer.words.get("pause_s", 0.0)
    return (
        f"the training was stopped for {answer.stopped_s * 1e3:.1f} ms and then held up for {waited_s * 1e3:.0f} ms"
    )


# --------------------------------------------------------------------------------------------------- the question


def _ask(pid: int, request: dict[str, Any], folders: Sequence[str]) -> Answer:
    """Enter the process, and gather what it says. Raises Refused."""
    target = inspect(pid)
    package = _probe_folder()
    lent = _lent_folders(target, folders)
    with _as_owner(target):
        _check_what_is_run(package, lent)
        with _line() as (listener, address):
            request |= {
                "address": address,
                "package": str(package),
                "folders": [str(folder) for folder in lent],
                "patience_s": PATIENCE_S - 1.0,
            }
            began = time.perf_counter()
            stopped_s = inject(target, _text(package, request))
            answer = _answer(target, listener)
        answer.stopped_s, answer.took_s = stopped_s, time.perf_counter() - began
    if "missing" in answer.words:
        raise Refused(_how_to_lend(pid, answer.words))
    if "refused" in answer.words:
        raise Refused(f"process {pid} could not be given a probe: {answer.words['refused']}")
    return answer


@contextlib.contextmanager
def _line() -> Iterator[tuple[socket.socket, str]]:
    """A socket that only this user can reach, for the process to call back."""
    folder = tempfile.mkdtemp(prefix="bedside-")
    address = os.path.join(folder, "line")  # noqa: PTH118  a socket's address is a string
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(address)
            listener.listen(1)
            yield listener, address
    finally:
        with contextlib.suppress(OSError):
            os.unlink(address)  # noqa: PTH108
        os.rmdir(folder)  # noqa: PTH106


def _answer(target: Target, listener: socket.socket) -> Answer:
    """Everything that the process says until it has done what it was asked. Raises Refused if it says nothing."""
    answer = Answer()
    with _called_back(target, listener) as line:
        for said in line.makefile():
            answer.words |= json.loads(said)
    if answer.words.keys() <= {"heard"}:
        raise Refused(f"process {target.pid} has ended meanwhile")
    return answer


def _called_back(target: Target, listener: socket.socket) -> socket.socket:
    """The line on which the process calls back. Raises Refused if it does not."""
    listener.settimeout(0.1)
    deadline = time.monotonic() + HEARD_S
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            line, _ = listener.accept()
            line.settimeout(None)  # it ends with the process, at the latest
            return line
        if not registry.is_alive(target.pid):
            raise Refused(f"process {target.pid} has ended meanwhile")
    raise Refused(
        f"process {target.pid} has not answered within {HEARD_S:.0f} s: its main thread runs no Python just now, "
        "it is in one long call of C code or waits for another thread. Nothing was put on; try again later"
    )


def _text(package: Path, request: dict[str, Any]) -> str:
    """The program for the process: one expression, which leaves no name behind in its ``__main__``."""
    source = (package / "zero" / "bootstrap.py").read_text()
    return f"__import__('builtins').exec({source!r}, {{'__name__': 'bedside', 'request': {request!r}}})"


def _probe_folder() -> Path:
    spec = find_spec("probe")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).resolve().parent


# --------------------------------------------------------------------------------------------- what it may borrow


def _check_what_is_run(package: Path, lent: Sequence[Path]) -> None:
    """The probe, its recorder, and what is lent: Refused if others can write any of it."""
    packages = [package, package.parent / "monitor", *(each for folder in lent for each in _packages(folder))]
    for reason in (*map(unsafe, lent), *map(unsafe_inside, packages)):
        if reason:
            raise Refused(reason)


def _packages(folder: Path) -> list[Path]:
    return [each for name in _LENT for each in folder.glob(f"{name}*")]


def _lent_folders(target: Target, folders: Sequence[str]) -> list[Path]:
    """Where the process may find what it lacks: in the folders given, and in our own where they fit its Python."""
    lent = [Path(folder).resolve() for folder in folders]
    for folder in lent:
        if not folder.is_dir():
            raise Refused(f"--path {folder} is no folder")
    if target.version == sys.version_info[:2]:
        lent += _own_folders()
    return list(dict.fromkeys(lent))


def _own_folders() -> list[Path]:
    """Where our own packages lie that the probe needs."""
    specs = [find_spec(name) for name in ("msgspec", "zmq", "numpy", "platformdirs")]
    return [
        Path(spec.origin).resolve().parent.parent for spec in specs if spec is not None and spec.origin is not None
    ]


def _how_to_lend(pid: int, words: dict[str, Any]) -> str:
    version = ".".join(map(str, words["version"]))
    packages = [PACKAGES.get(name, name) for name in words["missing"]]
    folder = f"~/bedside-python{version}"
    return (
        f"process {pid} (Python {version}) has no {' and no '.join(packages)}, which the probe needs. Nothing is "
        f"installed there; put it in a folder of its own and lend it: {words['executable']} -m pip install "
        f"--target {folder} {' '.join(packages)} && bedside attach {pid} --path {folder}"
    )


@contextlib.contextmanager
def _as_owner(target: Target) -> Iterator[None]:
    """Under ``sudo``, files and sockets are those of the user whose process it is."""
    if target.uid == os.geteuid():
        yield
        return
    os.seteuid(target.uid)
    try:
        yield
    finally:
        os.seteuid(0)


def _refuse(command: str, error: Refused) -> int:
    print(f"bedside {command}: {error}", file=sys.stderr)
    return USAGE
