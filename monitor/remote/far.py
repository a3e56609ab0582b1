"""Questions to another machine's registry and run files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from monitor.record.reader import Found
from monitor.record.registry import RunEntry
from monitor.remote import RemoteError, ssh
from monitor.remote.ssh import Host
from monitor.rows import flaw
from probe import wire

T = TypeVar("T")


def find(host: Host, text: str, *, in_batch: bool = False) -> Found:
    """The run there with that name or id; without a text the newest. Raises :class:`RemoteError`."""
    return _one(host, Found, "find", text, in_batch=in_batch)


def runs(host: Host) -> list[RunEntry]:
    """The runs there, newest first. Raises :class:`RemoteError`."""
    return _one(host, list[RunEntry], "list")


def messages(host: Host, *words: str, in_batch: bool = False) -> Iterator[wire.Message]:
    """The messages that the far end reads for those words. Raises :class:`RemoteError`."""
    for frame in ssh.ask(host, *words, in_batch=in_batch):
        message = wire.decode(frame)
        if message is not None and flaw(message) is None:
            yield message


def _one(host: Host, kind: type[T], *words: str, in_batch: bool = False) -> T:
    frames = list(ssh.ask(host, *words, in_batch=in_batch))
    try:
        (frame,) = frames
        return msgspec.msgpack.decode(frame, type=kind, dec_hook=_path)
    except (ValueError, msgspec.MsgspecError) as error:
        raise RemoteError(f"{host.destination}: its Bedside answers in words that this one does not know") from error


def _path(_kind: type, text: Any) -> Path:
    return Path(text)
