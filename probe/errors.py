"""What the probe raises. Each message says what was met, what is allowed, and what to do next."""

from __future__ import annotations


class Interrupt(KeyboardInterrupt):
    """The command ``interrupt``: for a script that saves and ends on Ctrl-C."""


class ProbeError(ValueError):
    """A mistake in how the probe was attached; the only kind of error that leaves the probe's own code."""
