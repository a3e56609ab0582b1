"""The rules over a folder of labelled logs of real runs: which were named right, and which healthy ones rang.

    python -m tests.diagnosis.run --only corpus --corpus FOLDER

The folder has ``manifest.tsv`` (columns run_id, kind, label, label2, confidence) and ``runs/RUN_ID.jsonl.gz``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.commands.diagnose import Report, diagnose
from monitor.model import Severity
from tests.benchmarks.figures import table
from tests.diagnosis.proportions import share

#: What an alert is called that is told, and what one that rings.
TOLD = {severity.label for severity in Severity if severity >= Severity.NOTICE}
ALARMS = {severity.label for severity in Severity if severity.is_alarm}
HEALTHY = ("healthy", "noisy-healthy")
#: The kinds of work that thresholds may be tuned on; the others are held out.
TUNED_ON = ("llm-pretrain", "recsys", "rl", "speech")
#: Which rules name a label right.
NAMED = {
    "nan": {"non-finite"},
    "diverged": {"divergence", "non-finite"},
    "oscillating": {"oscillation"},
    "overfit": {"overfitting"},
    "stalled": {"stall", "never-learns", "slow", "underfitting"},
    "spike": {"spike"},
}


@dataclass(frozen=True)
class Judged:
    run_id: str
    kind: str
    label: str
    label2: str
    confidence: str
    report: Report

    @property
    def alerts(self) -> list[Report]:
        return [alert for run in self.report["runs"] for alert in run["alerts"]]

    @property
    def told(self) -> set[str]:
        return {alert["rule"] for alert in self.alerts if alert["severity"] in TOLD}

    @property
    def alarms(self) -> set[str]:
        return {alert["rule"] for alert in self.alerts if alert["severity"] in ALARMS}

    @property
    def is_named(self) -> bool:
        return bool(self.told & NAMED.get(self.label, set()))


def judged(folder: Path) -> Iterator[Judged]:
    with (folder / "manifest.tsv").open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            report = diagnose([folder / "runs" / f"{row['run_id']}.jsonl.gz"])
            yield Judged(row["run_id"], row["kind"], row["label"], row["label2"], row["confidence"], report)


def report(folder: Path) -> str:
    """What was found, for the kinds of work that were tuned on and for the others."""
    runs = list(judged(folder))
    parts = {
        "tuning": [run for run in runs if run.kind in TUNED_ON],
        "held-out": [run for run in runs if run.kind not in TUNED_ON],
    }
    healthy, sick = ({name: select(part) for name, part in parts.items()} for select in (_healthy, _sick))
    rows = [
        [
            "healthy runs with an alarm (bar 2 %)",
            *(share(sum(bool(r.alarms) for r in h), len(h)) for h in healthy.values()),
        ],
        [
            "troubled runs, confidence h, named right (bar 85 %)",
            *(share(sum(r.is_named for r in s), len(s)) for s in sick.values()),
        ],
        *([label, *(_named(s, label) for s in sick.values())] for label in NAMED),
    ]
    missed = [run for runs in sick.values() for run in runs if not run.is_named]
    lines = [f"- {run.run_id}, {run.label}: {', '.join(sorted(run.told)) or 'nothing said'}" for run in missed]
    rang = [run for runs in healthy.values() for run in runs if run.alarms]
    lines += [f"- {run.run_id}, {run.label}: rings, {', '.join(sorted(run.alarms))}" for run in rang]
    return table(["", *parts], rows) + "\nMissed, and false alarms:\n\n" + ("\n".join(lines) or "none") + "\n"


def _healthy(runs: Sequence[Judged]) -> list[Judged]:
    return [run for run in runs if run.label in HEALTHY]


def _sick(runs: Sequence[Judged]) -> list[Judged]:
    return [run for run in runs if run.label in NAMED and run.confidence == "h"]


def _named(runs: Sequence[Judged], label: str) -> str:
    these = [run for run in runs if run.label == label]
    return f"{sum(run.is_named for run in these)} of {len(these)}"
