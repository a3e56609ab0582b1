"""Each case of the casebook as its reader runs it: the sick script raises its alarm, the cured one none."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from world import ROOT, World, eventually

from monitor.commands.diagnose import diagnose

SCRIPTS = ROOT / "examples" / "casebook"
PAGES = ROOT / "docs" / "casebook"

#: The alarm that each sick script raises.
CASES = {
    "learning_rate_too_high": ("dead-units", "critical"),
    "learning_rate_too_low": ("slow", "warning"),
    "plateau_of_batch_losses": ("lr-collapse", "warning"),
    "rate_divided_each_epoch": ("lr-collapse", "warning"),
    "unscaled_inputs": ("unscaled-input", "warning"),
    "deep_sigmoids": ("vanishing-gradient", "warning"),
    "dead_relus": ("dead-units", "critical"),
    "poor_initialisation": ("dead-units", "critical"),
    "class_imbalance": ("class-imbalance", "warning"),
    "too_little_data": ("overfitting", "warning"),
    "too_much_capacity": ("overfitting", "warning"),
    "too_little_capacity": ("class-collapse", "warning"),
    "tiny_batches": ("divergence", "critical"),
    "forgotten_train_mode": ("wrong-mode", "warning"),
    "random_labels": ("label-noise", "warning"),
    "missing_zero_grad": ("missing-zero-grad", "critical"),
    "softmax_twice": ("double-softmax", "critical"),
    "sorted_data": ("unshuffled-data", "warning"),
}


@pytest.fixture
def found(tmp_path):
    """Runs a script to its end; gives the severity of each rule that it raises."""
    world = World(tmp_path)

    def run(script):
        command = [sys.executable, str(SCRIPTS / f"{script}.py")]
        subprocess.run(command, env=world.env, check=True, capture_output=True)
        eventually(lambda: not world.live_entries())
        (judged,) = diagnose(world.run_files())["runs"]
        return {alert["rule"]: alert["severity"] for alert in judged["alerts"]}

    yield run
    world.close()


def alarms(severities):
    """Without what is said of the machine: that other processes make the steps slower is no fault of a script."""
    alarming = {rule for rule, severity in severities.items() if severity in ("warning", "critical")}
    return alarming - {"slow-steps"}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_sick_script_raises_its_alarm(case, found):
    rule, severity = CASES[case]
    severities = found(case)
    assert severities.get(rule) == severity
    assert alarms(severities) <= {rule}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_cured_script_raises_none(case, found):
    assert alarms(found(f"{case}_cured")) == set()


def test_one_case_from_script_to_verdict(found):
    assert found("missing_zero_grad")["missing-zero-grad"] == "critical"


def test_its_cure_raises_nothing(found):
    assert alarms(found("missing_zero_grad_cured")) == set()


def test_every_case_has_its_two_scripts_and_its_page():
    scripts = {path.stem for path in SCRIPTS.glob("*.py")} - {"digits"}
    assert scripts == {name for case in CASES for name in (case, f"{case}_cured")}
    assert {path.stem.replace("-", "_") for path in PAGES.glob("*.md")} - {"README"} == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_a_page_names_its_scripts_and_its_rule_and_has_its_parts(case):
    page = (PAGES / f"{case.replace('_', '-')}.md").read_text()
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == ["What you see", "What Bedside says", "Cause", "Cure"]
    assert re.findall(r"\.\./pictures/(casebook-.*)\.png\)", page) == [f"casebook-{case.replace('_', '-')}"]
    assert (PAGES.parent / "pictures" / f"casebook-{case.replace('_', '-')}.png").stat().st_size > 10_000
    assert {f"{case}.py", f"{case}_cured.py"} <= set(re.findall(r"casebook/(\w+\.py)\)", page))
    assert f"{CASES[case][0]} ({CASES[case][1]}, said at " in page
