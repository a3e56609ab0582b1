"""Another user of the machine: sees nothing of a run, and has no way to command it. Needs root to become one."""

import json
import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest
from toy_run import until

from monitor.keys import Keyring
from probe import runtime

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")


@pytest.fixture
def public(monkeypatch, toy_run):
    """A folder that anybody may look into, with the home of the run in it: pytest's own would hide everything."""
    with tempfile.TemporaryDirectory(prefix="bedside-public-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        toy_run.home = folder / "home"
        toy_run.home.mkdir()
        monkeypatch.setenv("BEDSIDE_HOME", str(toy_run.home))
        yield folder
        toy_run.clean_up()


def as_another_user(act) -> object:
    """What ``act()`` gives when nobody does it; it may only use plain system calls."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writing, json.dumps(act()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read()
    os.waitpid(pid, 0)
    return json.loads(said)


def readable(paths: list[str]) -> list[str]:
    found = []
    for path in paths:
        try:
            os.close(os.open(path, os.O_RDONLY))
        except PermissionError:
            continue
        found.append(path)
    return found


def connectable(paths: list[str]) -> list[str]:
    found = []
    for path in paths:
        with socket.socket(socket.AF_UNIX) as line:
            try:
                line.connect(path)
            except PermissionError:
                continue
        found.append(path)
    return found


def test_another_user_can_neither_read_nor_command_a_run(public, toy_run):
    mask = os.umask(0)  # the most careless user
    try:
        toy_run.train(10_000_000, "wait", 0.001)
    finally:
        os.umask(mask)
    live = toy_run.wait_live()
    until(lambda: len(toy_run.committed_steps()) > 300)
    Keyring(toy_run.home / "keys").own()
    open_to_all = public / "notice.txt"
    open_to_all.write_text("read me")
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(public / "door"))
    (public / "door").chmod(0o777)
    door.listen()
    files = [str(path) for path in toy_run.home.rglob("*") if path.is_file()]
    stem = str(runtime.socket_folder() / toy_run.run_id)
    sockets = [f"{stem}.{name}" for name in ("in", "live", "ask")]

    assert as_another_user(lambda: readable([*files, str(open_to_all)])) == [str(open_to_all)]
    assert as_another_user(lambda: connectable([*sockets, str(public / "door")])) == [str(public / "door")]
    assert as_another_user(lambda: readable([str(path) for path in toy_run.home.iterdir()])) == []
    assert {Path(name).suffix for name in files} >= {".bedside", ".json"}
    assert live.live == f"ipc://{stem}.live"
    assert [stat.S_IMODE(Path(name).stat().st_mode) & 0o077 for name in files] == [0] * len(files)
    door.close()
