"""Whether a run may be opened to TCP as ``attach(endpoint=...)`` asks: never to anybody by mistake."""

from __future__ import annotations

import ipaddress
import logging
import re

from probe import runtime
from probe.errors import ProbeError

_log = logging.getLogger("probe")

#: The port is that of questions and commands; the stream takes the next one.
_ENDPOINT = re.compile(r"tcp://(?P<host>\*|\[[0-9A-Fa-f:]+\]|[A-Za-z0-9_.-]+):(?P<port>[0-9]{1,5})")


def checked(endpoint: str | None, *, insecure: bool) -> str:
    """The endpoint, or nothing where none is asked for. Raises :class:`ProbeError`."""
    if endpoint is None:
        if insecure:
            raise ProbeError("insecure=True goes with an endpoint, as in endpoint='tcp://127.0.0.1:7777'.")
        return ""
    match = _ENDPOINT.fullmatch(str(endpoint))
    if match is None or not 0 < int(match["port"]) < 65535:
        raise ProbeError(
            f"endpoint={endpoint!r}; an address to listen at is needed, as 'tcp://0.0.0.0:7777' (that port and the "
            "next one are used). Without one the run is open to you alone, here and through ssh://."
        )
    if insecure:
        _check_loopback(endpoint, match["host"])
    elif not any(True for _ in (runtime.home() / "keys" / "authorised").glob("*")):
        raise ProbeError(
            f"endpoint={endpoint!r} is refused: no key is authorised yet, so nobody could connect. On the machine "
            "that watches, 'bedside keys show' prints its key; here, 'bedside keys authorise KEY NAME' lets it in. "
            "Through 'bedside watch ssh://HOST' no keys are needed."
        )
    return str(endpoint)


def _check_loopback(endpoint: str, host: str) -> None:
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ProbeError(
            f"endpoint={endpoint!r} with insecure=True is refused: without keys whoever reaches that address could "
            "stop the training. Only loopback is allowed, as 'tcp://127.0.0.1:7777'; elsewhere leave out insecure "
            "and let a key in with 'bedside keys authorise KEY NAME'."
        )
    _log.warning("Bedside: every user of this machine can read and command this run at %s (insecure=True).", endpoint)
