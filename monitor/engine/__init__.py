"""Judges a run: feeds the rules, and makes alerts of what they find."""

from __future__ import annotations

from monitor.engine.engine import Engine

__all__ = ["Engine"]
