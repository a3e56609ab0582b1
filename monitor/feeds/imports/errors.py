"""What a log that cannot be read raises."""

from __future__ import annotations


class LogError(Exception):
    """One line for the user: what was met, and what is allowed."""
