"""``bedside web``: the screen behind an address that nobody can guess."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import psutil
import pytest
from world import eventually

from monitor.commands import serving

needs_textual_serve = pytest.mark.skipif(
    serving.importlib.util.find_spec("textual_serve") is None,
    reason="textual-serve is not installed: pip install 'bedside[web]'",
)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def status(address):
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except urllib.error.URLError:  # it does not listen yet
        return 0, ""


@pytest.fixture
def server(world):
    command = [sys.executable, "-m", "monitor", "web", "--port", str(free_port())]
    process = subprocess.Popen(command, env=world.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    world.started.append(process)
    return process


@pytest.fixture
def served(server):
    """The address that the command prints, once somebody is there."""
    address = server.stdout.readline().strip()
    eventually(lambda: status(address)[0])
    return address


@needs_textual_serve
def test_the_page_is_there_for_who_has_the_address_and_for_nobody_else(served):
    host, _, rest = served.removeprefix("http://").partition("/")
    assert len(rest) > 30
    assert status(served)[0] == 200
    assert "textual" in status(served)[1]
    assert [status(f"http://{host}/{path}")[0] for path in ("", "ws", "static/", f"{rest[:-2]}x/")] == [404] * 4


@needs_textual_serve
async def test_a_browser_is_sent_the_screen_of_the_run_and_its_keys_arrive(world, served):
    import aiohttp  # comes with textual-serve

    world.train("--steps", "40", "--name", "patient").wait(60)

    async with aiohttp.ClientSession() as browser, browser.ws_connect(f"{served}ws?width=120&height=40") as line:
        await shown(line, "patient")
        await line.send_json(["stdin", ":"])
        await shown(line, "⏎ do it")


@needs_textual_serve
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGKILL], ids=lambda number: number.name)
async def test_its_screens_end_with_the_server_however_that_ends(server, served, number):
    import aiohttp

    async with aiohttp.ClientSession() as browser, browser.ws_connect(f"{served}ws?width=80&height=24") as line:
        await shown(line, "q quit")
        (screen,) = psutil.Process(server.pid).children(recursive=True)
        server.send_signal(number)
        async for _ in line:  # a browser reads to the end
            pass

    server.wait(30)
    eventually(lambda: not screen.is_running() or screen.status() == psutil.STATUS_ZOMBIE)


async def shown(line, words):
    """Wait until the words have been sent to the browser's terminal."""
    screen = ""
    while words not in screen:
        message = await line.receive(timeout=60)
        assert isinstance(message.data, bytes | str), screen
        if isinstance(message.data, bytes):
            screen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", message.data.decode(errors="replace"))


@needs_textual_serve
def test_it_listens_on_loopback_alone(served):
    assert served.startswith("http://127.0.0.1:")


def test_a_port_that_is_taken_is_one_clear_line():
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
        assert serving.taken("127.0.0.1", port) == f"127.0.0.1:{port}: Address already in use; --port gives another"


def test_an_address_that_this_machine_does_not_have_is_one_clear_line():
    port = free_port()
    assert serving.taken("300.1.1.1", port).startswith("300.1.1.1 is no address of this machine: ")
    assert serving.taken("192.0.2.1", port) == "192.0.2.1 is no address of this machine"


def test_an_address_is_written_as_a_browser_takes_it(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu-box")
    assert [serving.shown(host) for host in ("127.0.0.1", "0.0.0.0", "::1")] == ["127.0.0.1", "gpu-box", "[::1]"]


def test_a_name_cannot_become_a_command():
    assert serving.command("a; rm -rf /", read_only=True).endswith(" -m monitor watch 'a; rm -rf /' --read-only")


def test_without_textual_serve_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(serving.importlib.util, "find_spec", lambda _name: None)
    assert serving.serve(None, host="127.0.0.1", port=free_port(), read_only=False) == 2
    assert capsys.readouterr().err == (
        "bedside web: textual-serve is not installed here; pip install 'bedside[web]'\n"
    )
