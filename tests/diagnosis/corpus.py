"""The rules over a folder of labelled logs of real runs: which were named right, and which healthy ones rang.

    python tests/diagnosis/corpus.py FOLDER

The folder has ``manifest.tsv`` (columns run_id, label, label2, confidence) and ``runs/RUN_ID.jsonl.gz``.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from monitor.diagnose import Report, diagnose
from monitor.model import Severity

ALARMS = {severity.label for severity in Severity if severity.is_alarm}
HEALTHY = ("healthy", "noisy-healthy")
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
    label: str
    label2: str
    confidence: str
    report: Report

    @property
    def rules(self) -> set[str]:
        return {alert["rule"] for run in self.report["runs"] for alert in run["alerts"]}

    @property
    def alarms(self) -> set[str]:
        alerts = [alert for run in self.report["runs"] for alert in run["alerts"]]
        return {alert["rule"] for alert in alerts if alert["severity"] in ALARMS}

    @property
    def is_named(self) -> bool:
        return bool(self.rules & NAMED.get(self.label, set()))


def judged(folder: Path) -> Iterator[Judged]:
    with (folder / "manifest.tsv").open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            report = diagnose([folder / "runs" / f"{row['run_id']}.jsonl.gz"])
            yield Judged(row["run_id"], row["label"], row["label2"], row["confidence"], report)


def main(folder: Path) -> None:
    runs = list(judged(folder))
    print(f"{'label':15} runs  named  alarmed  rules")
    for label in sorted({run.label for run in runs}):
        these = [run for run in runs if run.label == label]
        named, alarmed = sum(run.is_named for run in these), sum(bool(run.alarms) for run in these)
        rules = Counter(rule for run in these for rule in run.rules)
        print(f"{label:15} {len(these):4} {named:6} {alarmed:8}  {dict(rules)}")
    print("\nhealthy runs with an alarm:")
    for run in runs:
        if run.label in HEALTHY and run.alarms:
            print(f"  {run.run_id}: {', '.join(sorted(run.alarms))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
