"""A few lines of Python, run inside a Python process that is running. Linux; never without the user's own command."""

from __future__ import annotations

from monitor.inject.target import Refused, Target, candidates, inspect
from monitor.inject.way import inject

__all__ = ["Refused", "Target", "candidates", "inject", "inspect"]
