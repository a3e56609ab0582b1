"""The training side of Bedside: ``import probe; probe.attach(model, optimizer)``.

Importing the package loads neither torch nor sockets; both come with the first :func:`attach`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from probe.version import __version__

if TYPE_CHECKING:
    from probe.errors import ProbeError
    from probe.probe import Probe, attach

__all__ = ["Probe", "ProbeError", "__version__", "attach"]


def __getattr__(name: str) -> object:
    if name in ("Probe", "attach"):
        from probe import probe

        return getattr(probe, name)
    if name == "ProbeError":
        from probe.errors import ProbeError

        return ProbeError
    raise AttributeError(f"module 'probe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
