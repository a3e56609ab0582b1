"""The screen: a Textual program that shows snapshots. It is given ``latest`` and knows no sockets, files or rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.app.app import MonitorApp

__all__ = ["MonitorApp"]


def __getattr__(name: str) -> Any:  # lazily, so that importing a part of the package does not load Textual
    if name == "MonitorApp":
        from monitor.app.app import MonitorApp

        return MonitorApp
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
