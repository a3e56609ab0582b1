"""The rules: one pure file a rule, and ``RULES``, the list that is the catalogue.

To add one: write ``monitor/rules/NAME.py`` with a ``RULE``, add it below, write ``tests/rules/test_rule_NAME.py``.
The order is the order of causes: of two rules that began together, the first one owns the incident.
"""

from __future__ import annotations

from typing import Final

from monitor.rules import (
    class_collapse,
    dead_units,
    divergence,
    non_finite,
    oscillation,
    overfitting,
    slow,
    stall,
)
from monitor.rules.context import RunContext
from monitor.rules.rule import STAY_LEVEL, Clock, Evidence, Gate, Rule, Signal, text_of

__all__ = ["RULES", "STAY_LEVEL", "Clock", "Evidence", "Gate", "Rule", "RunContext", "Signal", "text_of"]

RULES: Final[tuple[Rule, ...]] = (
    non_finite.RULE,
    dead_units.RULE,
    divergence.RULE,
    oscillation.RULE,
    slow.RULE,
    class_collapse.RULE,
    overfitting.RULE,
    stall.RULE,
)
