"""What a rule looks for, in the words of its own definition."""

from __future__ import annotations

import inspect


def definition(name: str) -> str:
    """The head of the rule's file, which is its definition; empty for a name that is no rule of this version."""
    from monitor.rules import RULES

    rule = next((rule for rule in RULES if rule.name == name), None)
    if rule is None:
        return ""
    return inspect.cleandoc(inspect.getmodule(rule.check).__doc__ or "").partition("\n>>>")[0].rstrip()
