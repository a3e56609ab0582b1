"""On and off again: what the probe puts on a model, on optimizers and on torch, and takes off without a trace."""

from __future__ import annotations

from probe.hooks.attachments import Attachments
from probe.hooks.taps import Listener, Taps, taps

__all__ = ["Attachments", "Listener", "Taps", "taps"]
