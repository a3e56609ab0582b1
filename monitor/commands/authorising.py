"""``bedside keys``: this machine's key, and whose keys may come to its runs over TCP."""

from __future__ import annotations

import sys
from collections.abc import Callable

from monitor import keys
from monitor.keys import Keyring, KeyringError
from monitor.record import registry

USAGE = 2


def make() -> int:
    """Make this machine's key pair, if there is none."""
    return _tried(lambda ring: f"this machine's key is {keys.as_text(ring.own().public)}")


def show() -> int:
    """This machine's key, those that are authorised, and those of machines that were watched."""
    return _tried(_shown)


def _shown(ring: Keyring) -> str:
    lines = [f"this machine  {keys.as_text(ring.own().public)}"]
    lines += [f"authorised    {key}  {name}" for name, key in ring.authorised().items()]
    lines += [f"known         {key}  {place}" for place, key in ring.known().items()]
    return "\n".join(lines)


def authorise(key: str, name: str) -> int:
    """Let the holder of a key watch and command the runs of this machine that are open to TCP."""

    def act(ring: Keyring) -> str:
        ring.authorise(key, name)
        return f"{name} may watch and command the runs of this machine that have an endpoint, from now on"

    return _tried(act)


def revoke(name: str) -> int:
    """Take that back: whoever is connected with the key is cut off within a second."""
    return _tried(lambda ring: f"{ring.revoke(name)} is not let in any more")


def _tried(act: Callable[[Keyring], str]) -> int:
    try:
        print(act(Keyring(registry.home() / "keys")))
    except KeyringError as error:
        print(f"bedside keys: {error}", file=sys.stderr)
        return USAGE
    return 0
