"""The keys of this user on this machine: who may watch and command its runs over TCP.

A key pair is 32 bytes each of Curve25519, made on first use; a person sees the public half as 64 hexadecimal digits.
What is authorised is a file a name, so that ``revoke`` is a file less, and the recorders see both at once.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

import zmq
from zmq.utils import z85

_KEY = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:-]{0,79}")


class KeyringError(Exception):
    """A key that cannot be used; the message is one line for a person."""


class Pair(NamedTuple):
    """A key pair in ZeroMQ's text form, 40 bytes each."""

    public: bytes
    secret: bytes


class Keyring:
    """The keys in ``folder``, which is made when there is something to put there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._secret = folder / "secret"

    def own(self) -> Pair:
        """This machine's own pair, made if there is none. Raises :class:`KeyringError`."""
        try:
            self._make()
            status = self._secret.stat()
            if status.st_uid != os.getuid() or status.st_mode & 0o077:
                mode = stat.S_IMODE(status.st_mode)
                raise KeyringError(
                    f"{self._secret} is not yours alone (mode {mode:o}); chmod 600 it, or make it anew"
                )
            secret = z85.encode(bytes.fromhex(checked(self._secret.read_text().strip())))
        except OSError as error:
            raise KeyringError(f"{self._secret} cannot be used: {error.strerror}") from error
        return Pair(zmq.curve_public(secret), secret)

    def _make(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            file = os.open(self._secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        with os.fdopen(file, "w") as out:
            out.write(z85.decode(zmq.curve_keypair()[1]).hex() + "\n")

    # ---------------------------------------------------------------------------------- who may come to runs of ours

    def authorised(self) -> dict[str, str]:
        """Public keys by name."""
        return self._read("authorised")

    def authorise(self, key: str, name: str) -> None:
        """Raises :class:`KeyringError`."""
        self._write("authorised", name, key)

    def revoke(self, text: str) -> str:
        """Take a key away by its name, or by itself; the name. Raises :class:`KeyringError`."""
        for name, key in self.authorised().items():
            if text in (name, key):
                (self._folder / "authorised" / name).unlink(missing_ok=True)
                return name
        names = ", ".join(self.authorised()) or "none"
        raise KeyringError(f"no key of that name is authorised; there is {names}")

    # ------------------------------------------------------------------------------------------ whose runs we come to

    def known(self) -> dict[str, str]:
        """Public keys of other machines, by ``HOST:PORT``."""
        return self._read("known")

    def remember(self, key: str, place: str) -> None:
        """Raises :class:`KeyringError`."""
        self._write("known", place, key)

    def _read(self, kind: str) -> dict[str, str]:
        keys = {}
        folder = self._folder / kind
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            try:
                keys[path.name] = checked(path.read_text().strip())
            except (OSError, KeyringError, UnicodeDecodeError):  # noqa: PERF203  just revoked, or no key at all
                continue
        return keys

    def _write(self, kind: str, name: str, key: str) -> None:
        if not _NAME.fullmatch(name):
            raise KeyringError(f"{name[:80]!r} is no name for a key: letters, digits, and _ . @ : - are")
        path = self._folder / kind / name
        try:
            for folder in (self._folder, path.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(checked(key) + "\n")
        except OSError as error:
            raise KeyringError(f"{path} cannot be written: {error.strerror}") from error


def checked(key: str) -> str:
    """The key, if it is one. Raises :class:`KeyringError`."""
    if not _KEY.fullmatch(key.lower()):
        raise KeyringError(f"{key[:80]!r} is no key; one is 64 hexadecimal digits, as 'bedside keys show' prints it")
    return key.lower()


def as_text(key: bytes) -> str:
    """ZeroMQ's text form as the one for people."""
    return z85.decode(key).hex()


def as_bytes(key: str) -> bytes:
    """The form for people as ZeroMQ's."""
    encoded: bytes = z85.encode(bytes.fromhex(checked(key)))
    return encoded
