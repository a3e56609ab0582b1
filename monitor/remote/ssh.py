"""The user's own OpenSSH: its config, keys, agent and jump hosts, and its words where it fails.

The first connection may ask for a passphrase or a host key on the terminal. A line that broke is mended in silence
(``BatchMode``), for by then the terminal shows the run.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from monitor.record.reader import BEGIN, LENGTH
from monitor.remote import RemoteError
from probe import wire

#: Looks for the way that a recorder has left, that of this host first; 127 says that one leads nowhere any more.
_FIND = (
    "here=$(hostname); lost=; "
    'for home in "$BEDSIDE_HOME" "${XDG_STATE_HOME:-$HOME/.local/state}/bedside" '
    '"$HOME/Library/Application Support/bedside"; do '
    'for way in "$home/readers/$here" "$home/readers"/*; do '
    'if [ -f "$way" ]; then sh "$way" "$@"; end=$?; [ $end -eq 127 ] || exit $end; lost="$way"; fi; '
    "done; done; "
    'if [ -n "$lost" ]; then '
    'echo "what recorded there cannot be started any more; the next training mends it ($lost)" >&2; exit 2; fi; '
    'echo "no training was ever watched by Bedside there '
    '(BEDSIDE_HOME, if it is used, must be set for ssh, too)" >&2; exit 2'
)
_OPTIONS = (
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ConnectTimeout=10",
    "LogLevel=ERROR",
)
_SSH_FAILED = 255
#: What a login may print before our own words begin.
_NOISE_BYTES = 64 * 1024
_GREETING_S = 10.0
#: Between two attempts to mend a line.
_PAUSE_S = 2.0
_PATH_BYTES = 100
_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.:%-]*")  # never an option: it begins with no dash


class LineLost(RemoteError):  # noqa: N818  what happened
    """It was ssh itself that failed: the line may come back."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where ssh goes: ``user@host`` or a name from its config, and a port if it was given."""

    destination: str
    port: int | None = None

    def command(self, *options: str) -> list[str]:
        port = ["-p", str(self.port)] if self.port is not None else []
        settings = [word for option in (*_OPTIONS, *options) for word in ("-o", option)]
        return ["ssh", "-T", "-x", *settings, *port]


def parse(text: str) -> tuple[Host, str]:
    """``ssh://[user@]host[:port][/RUN]``: the host, and the run or nothing. Raises :class:`RemoteError`."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    user, host, run = unquote(parts.username or ""), parts.hostname or "", unquote(parts.path.strip("/"))
    # The name as it was typed: ssh's config tells capitals from small letters.
    host = next((name for name in re.split(r"[@:/\[\]]", text) if name.lower() == host), host)
    is_fine = _NAME.fullmatch(host) and (not user or _NAME.fullmatch(user)) and not (parts.query or parts.fragment)
    if not is_fine or parts.password is not None:
        raise RemoteError(f"{text[:80]!r} names no machine; it is ssh://[USER@]HOST[:PORT][/RUN]")
    return Host(f"{user}@{host}" if user else host, port), run


def ask(host: Host, *words: str, in_batch: bool = False) -> Iterator[bytes]:
    """The frames that the far end answers with. Raises :class:`RemoteError`; :class:`LineLost` if the line breaks."""
    far = f"exec sh -c {shlex.quote(_FIND)} bedside {shlex.join(words)}"
    options = ["ClearAllForwardings=yes", *(["BatchMode=yes"] if in_batch else [])]
    with tempfile.TemporaryFile() as said:
        process = _start([*host.command(*options), "--", host.destination, far], stdout=subprocess.PIPE, stderr=said)
        assert process.stdout is not None
        try:
            yield from _frames(process.stdout)
            process.stdout.close()
            status = process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        _check(host, status, said)


def _check(host: Host, status: int, said: IO[bytes]) -> None:
    if status == _SSH_FAILED or status < 0:
        raise LineLost(f"ssh {host.destination}: {_last_words(said)}")
    if status:
        raise RemoteError(f"{host.destination}: {_last_words(said)}")


def _frames(stream: IO[bytes]) -> Iterator[bytes]:
    """What follows the beginning, one frame at a time; it ends where the stream is cut."""
    noise = b""
    while not noise.endswith(BEGIN):
        byte = stream.read(1)
        if not byte or len(noise) > _NOISE_BYTES:
            return
        noise += byte
    while len(head := stream.read(LENGTH.size)) == LENGTH.size:
        (length,) = LENGTH.unpack(head)
        if length > wire.MAX_FRAME_BYTES:
            return
        frame = stream.read(length)
        if len(frame) < length:
            return
        yield frame


class Tunnel:
    """A run's two sockets there, as two private ones here: ``live`` and ``ask`` are addresses. One ssh, no port.

    The far command is a ``cat`` that ends with our end of its input, so no ssh is left behind however we end.
    One thread opens and mends it; any may close it.
    """

    def __init__(self, host: Host, live: str, ask: str) -> None:
        self._host = host
        self._folder = _short_folder()
        self.live, self.ask = f"ipc://{self._folder}/live", f"ipc://{self._folder}/ask"
        self._forwards = [_forward(self.live, live), _forward(self.ask, ask)]
        self._process: subprocess.Popen[bytes] | None = None
        self._said = (self._folder / "said").open("w+b")
        self._next_s = 0.0
        self._lock = threading.Lock()
        self._is_closed = False

    @property
    def is_open(self) -> bool:
        """Whether ssh has logged in and listens here."""
        return self._is_there and (self._folder / "live").is_socket() and (self._folder / "ask").is_socket()

    @property
    def _is_there(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def open(self) -> None:
        """Log in, with questions on the terminal where ssh has any. Raises :class:`RemoteError`."""
        self._begin()
        try:
            while not self.is_open:
                if not self._is_there:
                    raise LineLost(f"ssh {self._host.destination}: {_last_words(self._said)}")
                time.sleep(0.02)
            if not _greets(self._folder / "ask"):
                raise RemoteError(
                    f"ssh {self._host.destination}: nobody answers at the run's socket; either the run has just "
                    "ended, or the server there does not forward sockets (AllowStreamLocalForwarding)"
                )
        except BaseException:
            self.close()
            raise

    def mend(self) -> str | None:
        """Start ssh again if it has ended and it is time to; what it last said, if that is why. Never waits."""
        now = time.monotonic()
        with self._lock:
            if self._is_closed or self._is_there or now < self._next_s:
                return None
            words = _last_words(self._said)
            self._begin("BatchMode=yes")
        self._next_s = now + _PAUSE_S
        return words

    def lead_to(self, live: str, ask: str) -> None:
        """Those sockets there, if they are others than so far: a recorder may have to move."""
        forwards = [_forward(self.live, live), _forward(self.ask, ask)]
        with self._lock:
            if not self._is_closed and forwards != self._forwards:
                self._forwards = forwards
                self._begin("BatchMode=yes")

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._end()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self, *options: str) -> None:
        self._end()
        self._said.seek(0)
        self._said.truncate()
        # ControlPath: a shared connection of the user's would keep our forwards when we are gone.
        settings = ("StreamLocalBindUnlink=yes", "ExitOnForwardFailure=no", "ControlPath=none", *options)
        forwards = [word for forward in self._forwards for word in ("-L", forward)]
        self._process = _start(
            [*self._host.command(*settings), *forwards, "--", self._host.destination, "exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
        )

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
        for name in ("live", "ask"):
            (self._folder / name).unlink(missing_ok=True)  # they stay behind when ssh dies


def _greets(path: Path) -> bool:
    """Whether there is a ZeroMQ socket at the far end: it speaks first."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as line:
        line.settimeout(_GREETING_S)
        try:
            line.connect(str(path))
            return bool(line.recv(1))
        except OSError:
            return False


def _start(command: list[str], **streams: IO[bytes] | int) -> subprocess.Popen[bytes]:
    streams.setdefault("stdin", subprocess.DEVNULL)
    try:
        return subprocess.Popen(command, **streams)  # type: ignore[call-overload,no-any-return]
    except FileNotFoundError as error:
        raise RemoteError("there is no ssh on this machine; install OpenSSH's client") from error


def _last_words(said: IO[bytes]) -> str:
    said.seek(0)
    lines = [line.strip() for line in said.read(_NOISE_BYTES).decode(errors="replace").splitlines() if line.strip()]
    return "".join(char if char.isprintable() else " " for char in lines[-1]) if lines else "the line broke"


def _forward(here: str, there: str) -> str:
    """``-L``'s words; a path from the other machine cannot say anything but a path."""
    path = there.removeprefix("ipc://")
    if not path.startswith("/"):
        raise RemoteError(f"{there[:80]!r} is no socket that can be forwarded")
    return ":".join(re.sub(r"([\\:\[\]])", r"\\\1", name) for name in (here.removeprefix("ipc://"), path))


def _short_folder() -> Path:
    """A private folder whose sockets have names that are short enough for the system."""
    folder = Path(tempfile.mkdtemp(prefix="bedside-"))
    if len(bytes(folder)) + 6 <= _PATH_BYTES:
        return folder
    with contextlib.suppress(OSError):
        folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="bedside-", dir="/tmp"))
