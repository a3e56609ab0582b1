"""The recorder's three sockets, and that their names stay where others find them.

A logout takes ``/run/user/UID`` away with all that is in it, and a cleaner may empty the temporary folder, while the
training goes on. Connections live on then, but nobody new gets in: so the names are looked after, and given again.
"""

from __future__ import annotations

import contextlib
import stat
import time
from pathlib import Path

import zmq

from monitor.record.door import OWN_DOMAIN
from probe import runtime, wire

#: Between two looks whether the names are still there.
LOOK_S = 1.0
#: The longest frame to the stream. A handshake without keys has 26 bytes, a subscription 10 and its text, of which a
#: monitor's has none; what ZeroMQ remembers of it is 50 times as long as the text.
_LIVE_FRAME_BYTES = 40
_LIVE_OPTIONS = ((zmq.MAXMSGSIZE, _LIVE_FRAME_BYTES), (zmq.RCVHWM, 16), (zmq.SNDHWM, 512))
_ASK_OPTIONS = ((zmq.MAXMSGSIZE, 64 * 1024), (zmq.RCVHWM, 64), (zmq.SNDHWM, 4), (zmq.ROUTER_MANDATORY, 1))


class Sockets:
    """``incoming`` is the training process's way in, ``live`` the stream, ``ask`` where questions come in."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], stem: str, folder: Path) -> None:
        self._stem, self._folder = stem, folder
        self.incoming = _socket(context, zmq.ROUTER, (zmq.MAXMSGSIZE, wire.MAX_FRAME_BYTES), (zmq.RCVHWM, 64))
        self.live = _socket(context, zmq.XPUB, *_LIVE_OPTIONS)
        self.ask = _socket(context, zmq.ROUTER, *_ASK_OPTIONS)
        self._named = {"in": self.incoming, "live": self.live, "ask": self.ask}
        self._frame_bytes = {name: socket.getsockopt(zmq.MAXMSGSIZE) for name, socket in self._named.items()}
        self._ours: dict[Path, int] = {}  # inodes: a name may be another's by now
        self._next_look_s = 0.0

    def bind(self) -> None:
        """Give them their names. Raises :class:`zmq.ZMQError`."""
        for name in self._named:
            self._bind(name)

    def address(self, name: str) -> str:
        """Where to connect to ``in``, ``live`` or ``ask``. :meth:`restored` may change it."""
        return f"ipc://{self._path(name)}"

    def restored(self) -> bool:
        """Give the names again that are gone; True if there were some. Connections are left as they are."""
        now = time.monotonic()
        if now < self._next_look_s:
            return False
        self._next_look_s = now + LOOK_S
        gone = [name for name in self._named if _inode(self._path(name)) is None]
        if not gone:
            return False
        try:
            self._give_again(gone)
        except (zmq.ZMQError, runtime.RuntimeFolderError, OSError):
            return False  # at the next look, perhaps
        return True

    def cut_live(self) -> None:
        """Put out all who listen to the stream; they may come back at once."""
        for path in [path for path in self._ours if path.name == self._path("live").name]:
            with contextlib.suppress(zmq.ZMQError):
                self.live.unbind(f"ipc://{path}")
        with contextlib.suppress(zmq.ZMQError):  # the folder is gone: the name is given again later
            self._bind("live")

    def remove(self) -> None:
        """Take the names away. The sockets end with their context."""
        for path, inode in self._ours.items():
            if _inode(path) == inode:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _give_again(self, names: list[str]) -> None:
        folder = runtime.socket_folder()
        if folder != self._folder:
            self._folder, names = folder, list(self._named)
        for name in names:
            # The door may have set others for its own places. An empty domain would do, but cannot be set again.
            self._named[name].setsockopt(zmq.MAXMSGSIZE, self._frame_bytes[name])
            self._named[name].setsockopt(zmq.CURVE_SERVER, 0)
            self._named[name].setsockopt(zmq.ZAP_DOMAIN, OWN_DOMAIN)
            self._bind(name)

    def _bind(self, name: str) -> None:
        """What it was bound to before stays open until the end, for those who came in there."""
        path = self._path(name)
        self._named[name].bind(f"ipc://{path}")
        if (inode := _inode(path)) is not None:
            self._ours[path] = inode

    def _path(self, name: str) -> Path:
        return self._folder / f"{self._stem}.{name}"


def _inode(path: Path) -> int | None:
    """Of a socket that is there, as far as can be seen."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_ino if stat.S_ISSOCK(status.st_mode) else None


def _socket(context: zmq.Context[zmq.Socket[bytes]], kind: int, *options: tuple[int, int]) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 500)
    for option, value in options:
        socket.setsockopt(option, value)
    return socket
