"""What holds for every rule: checked over ``RULES``, so that a new one is checked as it is added."""

import doctest
import importlib
import inspect
import pkgutil
import string

import numpy as np
import pytest

import monitor.rules
from monitor.rules import RULES, Rule, RunContext, Signal
from monitor.rules.rule import Clock

HEADINGS = ("Signals", "Formula", "Fires", "Evidence", "Action", "Quiet on", "False alarms", "Source")
SUPPORT = {"context", "rule", "statistics"}
TABLES = {
    "act_std",
    "update_ratio",
    "layer_grad_norm",
    "dead_frac",
    "saturated_frac",
    "val_recall",
    "val_total",
    "val_predicted",
}
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def module_of(rule: Rule):
    return inspect.getmodule(rule.check)


def signals(rule: Rule, values: np.ndarray) -> list[Signal]:
    """The same values for each of its signals; tables get them for 3 layers or classes."""
    return [Signal.of(np.tile(values[:, None], 3) if name in TABLES else values) for name in rule.signals]


@every_rule
def test_a_rule_is_named_after_its_file(rule):
    assert module_of(rule).__name__ == "monitor.rules." + rule.name.replace("-", "_")


def test_names_are_unique():
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_every_file_is_in_the_catalogue():
    files = {name for _, name, _ in pkgutil.iter_modules(monitor.rules.__path__)} - SUPPORT
    assert files == {rule.name.replace("-", "_") for rule in RULES}


@every_rule
def test_the_definition_has_every_heading_in_order(rule):
    lines = [line for line in module_of(rule).__doc__.splitlines() if line[:1].isalpha()]
    found = [heading for line in lines[1:] for heading in HEADINGS if line.startswith(heading + "  ")]
    assert found == list(HEADINGS)


@pytest.mark.parametrize("name", sorted({rule.name.replace("-", "_") for rule in RULES} | {"rule", "statistics"}))
def test_the_examples_are_true(name):
    module = importlib.import_module(f"monitor.rules.{name}")
    # A definition shows a rule at work on arrays; numpy need not be named there to be read.
    result = doctest.testmod(module, extraglobs={"np": np})
    assert result.attempted > 0
    assert result.failed == 0


@every_rule
def test_silent_on_nothing(rule):
    assert rule.check(*signals(rule, np.empty(0)), RunContext()) is None


@every_rule
@pytest.mark.parametrize("value", [0.0, 0.5])
def test_silent_on_what_does_not_move(rule, value):
    context = RunContext(start=value, level=value, best=value, points=512, val_best=value, val_first=value)
    if rule.name in ("stall", "never-learns", "data-starvation"):
        pytest.skip("what does not move is what it is there for: a loss, or a wait as long as the step")
    assert rule.check(*signals(rule, np.full(512, value)), context) is None


@every_rule
def test_arrays_are_left_alone(rule):
    values = np.random.default_rng(0).random(512)
    given = signals(rule, values)
    for signal in given:
        signal.values.flags.writeable = False
    rule.check(*given, RunContext(start=1.0, best=0.0, level=0.5, points=5120, val_best=0.1, val_first=1.0))


@every_rule
def test_causes_are_rules(rule):
    assert set(rule.symptom_of) <= {other.name for other in RULES} - {rule.name}


@every_rule
def test_it_looks_on_the_engines_grid(rule):
    from monitor.engine.engine import GRID

    assert rule.clock is not Clock.STEPS or rule.every % GRID == 0


@every_rule
def test_a_format_string_uses_numbers_that_its_definition_names(rule):
    texts = [text for text in (rule.summary, rule.action) if isinstance(text, str)]
    fields = {field for text in texts for _, field, _, _ in string.Formatter().parse(text) if field}
    evidence = module_of(rule).__doc__.split("\nEvidence")[1].split("\nAction")[0]
    assert {field for field in fields - {"where"} if field not in evidence} == set()
