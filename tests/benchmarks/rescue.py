"""Sick trainings, left alone and rescued. ``make rescue`` prints the table, ``make rescue ARGS=--write`` puts it into
docs/explanation/interventions.md.

Each case of patients.py is trained twice from one seed. The first is left alone. In the second the alert that the
case is about is answered, as soon as it is in the record, with the first thing that it offers, by ``bedside do``;
nothing else is done. Where the answer is ``stop``, what counts is the checkpoint that it left.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "interventions.md"

sys.path.insert(0, str(ROOT))

from figures import say, table

from monitor.app.interventions import title
from monitor.model import Alert
from monitor.record.runfile import RunFileError, read_run

#: Each case with the rule that sees it.
RULES = {"lr-too-high": "divergence", "plateau": "stall", "overfitting": "overfitting"}


class Outcome(NamedTuple):
    """The validation loss and accuracy of a training, and the steps that they took."""

    loss: float
    accuracy: float
    steps: int

    def __str__(self) -> str:
        return f"{self.loss:.3f}, {self.accuracy:.1%} ({self.steps})"


class Rescue(NamedTuple):
    """``offer`` is what was given, ``step`` the last one before it acted."""

    alone: Outcome
    alert: Alert
    offer: str
    step: int
    rescued: Outcome


def rescue(case: str, seed: int) -> Rescue:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        env = {**os.environ, "BEDSIDE_HOME": folder, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        alone = outcome(start(case, seed, {**env, "BEDSIDE": "off"}))
        training = start(case, seed, env)
        alert = seen(RULES[case], Path(folder), training)
        offer = title(alert.offers[0])
        do = [sys.executable, "-m", "monitor", "do", case, *offer.split(), "--json"]
        answer = json.loads(subprocess.run(do, env=env, capture_output=True, text=True, check=True).stdout)
        if offer == "stop":
            training.communicate()
            training = start(case, seed, env, "--evaluate", answer["applied"]["path"])
        rescued = outcome(training)
        until_recorded(Path(folder))
    return Rescue(alone, alert, offer, answer["step"], rescued)


def start(case: str, seed: int, env: dict[str, str], *options: str) -> subprocess.Popen[str]:
    words = [sys.executable, str(Path(__file__).parent / "patients.py"), case, "--seed", str(seed), *options]
    return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True)


def outcome(training: subprocess.Popen[str]) -> Outcome:
    said, _ = training.communicate()
    loss, accuracy, steps = said.split()
    return Outcome(float(loss), float(accuracy), int(steps))


def seen(rule: str, home: Path, training: subprocess.Popen[str]) -> Alert:
    """Wait for the alert of a rule to be in the record."""
    while training.poll() is None:
        for path in (home / "runs").glob("*.bedside"):
            try:
                alerts = [message for message in read_run(path) if isinstance(message, Alert)]
            except RunFileError:  # it has just been made
                continue
            if found := next((alert for alert in alerts if alert.rule == rule), None):
                return found
        time.sleep(0.2)
    raise SystemExit(f"The training ended and {rule} was not said.")


def until_recorded(home: Path) -> None:
    while list((home / "live").glob("*.json")):
        time.sleep(0.1)


def report(seeds: int) -> str:
    rows = []
    for case in RULES:
        for seed in range(seeds):
            say(f"{case}, seed {seed}")
            rows.append(_row(case, seed, rescue(case, seed)))
    heads = ("case", "seed", "alert", "at step", "given", "after step", "left alone", "rescued")
    return table(heads, rows)


def _row(case: str, seed: int, found: Rescue) -> list[str]:
    alert = found.alert
    return [
        case,
        str(seed),
        f"`{alert.rule}`",
        str(alert.raised_step),
        f"`bedside do {case} {found.offer}`",
        str(found.step),
        str(found.alone),
        str(found.rescued),
    ]


def write(made: str) -> None:
    """Put the table between its marks in the page."""
    before, begin, rest = PAGE.read_text().partition("<!-- measured: rescue -->\n")
    _, end, after = rest.partition("<!-- /measured -->\n")
    assert end, f"{PAGE} has no place for the table"
    PAGE.write_text(before + begin + made + end + after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="so many of each case")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    args = parser.parse_args()
    made = report(args.seeds)
    print(made, flush=True)
    if args.write:
        write(made)


if __name__ == "__main__":
    main()
