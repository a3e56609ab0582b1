"""The screen in a browser, for those without a terminal: Textual's own server, behind a token in the address."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import os
import secrets
import shlex
import signal
import socket
import sys
import threading
import time
from typing import Any

USAGE = 2
LOOPBACK = ("127.0.0.1", "::1", "localhost")
#: In the environment of the screens: which process serves them.
_SERVER = "BEDSIDE_SERVER"
_PATIENCE_S = 10.0


def serve(run: str | None, *, host: str, port: int, read_only: bool) -> int:
    """Serve the screen of a run until Ctrl-C. Returns the exit status."""
    if importlib.util.find_spec("textual_serve") is None:
        print("bedside web: textual-serve is not installed here; pip install 'bedside[web]'", file=sys.stderr)
        return USAGE
    if (refusal := taken(host, port)) is not None:
        print(f"bedside web: {refusal}", file=sys.stderr)
        return USAGE
    os.environ[_SERVER] = str(os.getpid())
    server(command(run, read_only=read_only), host, port).serve()
    return 0


def command(run: str | None, *, read_only: bool) -> str:
    """The line that the server runs for each browser window."""
    words = [sys.executable, "-m", "monitor", "watch", *([run] if run else []), *(["--read-only"] * read_only)]
    return f"exec {shlex.join(words)}"


def end_with_server() -> None:
    """In a screen that is served: end it when the server is gone, however that came about. Nobody sees it then."""
    if server := os.environ.get(_SERVER):
        threading.Thread(target=_wait_for_its_end, args=(int(server),), name="bedside-server", daemon=True).start()


def _wait_for_its_end(server: int) -> None:
    while os.getppid() == server:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE_S)
    os._exit(1)  # it hangs, and there is no terminal to put right


def taken(host: str, port: int) -> str | None:
    """Why nothing can listen there, or None."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.getaddrinfo(host, port, family)  # create_server says of a wrong name only that its number is unknown
        with socket.create_server((host, port), family=family):
            return None
    except socket.gaierror as error:
        return f"{host} is no address of this machine: {error.strerror}"
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return f"{host} is no address of this machine"
        return f"{host}:{port}: {os.strerror(error.errno or 0)}; --port gives another"


def server(line: str, host: str, port: int) -> Any:
    """Textual's server, with all that it has under an address that nobody can guess."""
    from aiohttp import web
    from textual_serve.server import Server

    class Behind(Server):
        token = secrets.token_urlsafe(24)
        screens: set[asyncio.Task[Any]] = set()

        async def _make_app(self) -> web.Application:
            outer = web.Application()
            outer.add_subapp(f"/{self.token}", await super()._make_app())
            return outer

        async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
            screen = asyncio.current_task()
            assert screen is not None
            self.screens.add(screen)
            try:
                return await super().handle_websocket(request)
            finally:
                self.screens.discard(screen)

        async def on_shutdown(self, app: web.Application) -> None:
            """Ctrl-C: end the screens, for which the server would wait."""
            del app
            for screen in self.screens:
                screen.cancel()

        async def on_startup(self, app: web.Application) -> None:
            del app
            print(f"{self.public_url}/{self.token}/", flush=True)
            print("The screen is there for whoever has this address. Ctrl-C ends it; training goes on.", flush=True)
            if host not in LOOPBACK:
                print("It is not encrypted, and can be reached from other machines.", flush=True)

        def initialize_logging(self) -> None:
            """Its log is for its developers."""

    return Behind(line, host=host, port=port, title="bedside", public_url=f"http://{shown(host)}:{port}")


def shown(host: str) -> str:
    """The address as it is typed into a browser: of one that stands for all, this machine's name."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  what is asked for, not what is done by itself
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
