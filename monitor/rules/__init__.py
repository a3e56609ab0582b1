"""The rules: one pure file a rule, and ``RULES``, the list that is the catalogue.

To add one: write ``monitor/rules/NAME.py`` with a ``RULE``, add it below, write ``tests/rules/test_rule_NAME.py``.
The order is the order of causes: of two rules that began together, the first one owns the incident.
"""

from __future__ import annotations

from typing import Final

from monitor.rules import (
    aggressive_clipping,
    amp_collapse,
    bad_start,
    class_collapse,
    class_imbalance,
    data_starvation,
    dead_units,
    divergence,
    double_softmax,
    exploding_gradient,
    frozen_parameters,
    label_noise,
    lr_collapse,
    memory_leak,
    missing_zero_grad,
    never_learns,
    non_finite,
    oscillation,
    overfitting,
    saturated_units,
    slow,
    slow_steps,
    spike,
    stall,
    stalled_process,
    underfitting,
    unscaled_input,
    unshuffled_data,
    vanishing_gradient,
    wrong_mode,
    wrong_sign,
)
from monitor.rules.context import RunContext
from monitor.rules.rule import STAY_LEVEL, Clock, Evidence, Gate, Rule, Signal, text_of

__all__ = ["RULES", "STAY_LEVEL", "Clock", "Evidence", "Gate", "Rule", "RunContext", "Signal", "text_of"]

RULES: Final[tuple[Rule, ...]] = (
    non_finite.RULE,
    wrong_sign.RULE,
    missing_zero_grad.RULE,
    frozen_parameters.RULE,
    double_softmax.RULE,
    wrong_mode.RULE,
    unscaled_input.RULE,
    unshuffled_data.RULE,
    lr_collapse.RULE,
    bad_start.RULE,
    dead_units.RULE,
    saturated_units.RULE,
    vanishing_gradient.RULE,
    exploding_gradient.RULE,
    amp_collapse.RULE,
    aggressive_clipping.RULE,
    divergence.RULE,
    spike.RULE,
    oscillation.RULE,
    slow.RULE,
    never_learns.RULE,
    class_imbalance.RULE,
    class_collapse.RULE,
    label_noise.RULE,
    overfitting.RULE,
    underfitting.RULE,
    stall.RULE,
    stalled_process.RULE,
    data_starvation.RULE,
    slow_steps.RULE,
    memory_leak.RULE,
)
