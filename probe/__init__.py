"""The training side of Bedside: ``import probe; probe.attach(model, optimizer)``.

Importing the package loads neither torch nor sockets; both come with the first :func:`attach`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from probe.version import __version__

if TYPE_CHECKING:
    from probe.checkpoint import Start, load_checkpoint
    from probe.errors import Interrupt, ProbeError
    from probe.probe import Probe, attach

__all__ = ["Interrupt", "Probe", "ProbeError", "Start", "__version__", "attach", "load_checkpoint"]


def __getattr__(name: str) -> object:
    if name in ("Probe", "attach"):
        from probe import probe

        return getattr(probe, name)
    if name in ("Start", "load_checkpoint"):
        from probe import checkpoint

        return getattr(checkpoint, name)
    if name in ("Interrupt", "ProbeError"):
        from probe import errors

        return getattr(errors, name)
    raise AttributeError(f"module 'probe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
