"""The zoo's tables."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from tests.benchmarks.figures import table
from tests.diagnosis.proportions import rate, share
from tests.diagnosis.zoo.judged import OVERFITS, Judged

#: The bars: share of manifest faults named right, delays in steps.
RECALL, MEDIAN_DELAY, MOST_DELAY = 0.95, 100, 600


def overview(parts: Mapping[str, Sequence[Judged]]) -> str:
    """One column a part, one row a figure."""
    figures: dict[str, Callable[[Sequence[Judged]], str]] = {
        "healthy trainings with an alarm": lambda runs: _flagged([run for run in runs if run.is_healthy]),
        "alarms per healthy training": _per_training,
        "alarms per 10,000 healthy steps": _per_steps,
        "sick trainings with an alarm before their onset": lambda runs: _flagged(_late(runs)),
        "faults that are manifest": lambda runs: f"{len(_manifest(runs))} of {len(_sick(runs))}",
        f"manifest faults named right (bar {RECALL:.0%})": lambda runs: _share_of(_manifest(runs), _is_right),
        "manifest faults of which anything is said": lambda runs: _share_of(
            _manifest(runs), lambda run: run.since_onset
        ),
        "delay from the onset": lambda runs: _delays(runs, 0),
        f"delay from where the rule could first say it (bar {MEDIAN_DELAY}, each {MOST_DELAY})": lambda runs: _delays(
            runs, 1
        ),
        "incidents whose root cause is right": _roots,
        "alerts that closed and came back": _flapping,
    }
    rows = [[name, *(figure(runs) for runs in parts.values())] for name, figure in figures.items()]
    return table(["", *parts], rows)


def faults(runs: Sequence[Judged]) -> str:
    """What was said of each fault, a row a fault and recipe."""
    groups: dict[tuple[str, str], list[Judged]] = {}
    for run in _sick(runs):
        groups.setdefault((run.case.fault.name, run.case.recipe.name), []).append(run)
    rows = []
    for (fault, recipe), these in groups.items():
        said = sorted({alert.rule for run in these for alert in run.since_onset})
        delays = [str(run.delay[0]) for run in these if run.delay]
        manifest = sum(run.is_manifest for run in these)
        right = sum(run.right is not None for run in these)
        rows.append(
            [
                fault,
                recipe,
                f"{manifest} of {len(these)}",
                f"{right} of {len(these)}",
                ", ".join(delays),
                ", ".join(said) or "nothing",
            ]
        )
    return table(["fault", "in", "manifest", "named right", "after so many steps", "what was said"], rows)


def remarks(runs: Sequence[Judged]) -> str:
    """The false alarms one by one, and what was not counted."""
    lines = [
        f"- {run.case.name}: {alert.rule} at step {alert.raised_step}: {alert.summary}"
        for run in runs
        for alert in run.false_alarms
    ]
    excused = [run for run in runs if run.is_healthy and run.overfits > OVERFITS]
    lines += [
        f"- {run.case.name} does overfit, its validation loss ends at {run.overfits:.1f} times its best: "
        "an alarm that says so is right"
        for run in excused
        if any(alert.rule == "overfitting" and alert.severity.is_alarm for alert in run.told)
    ]
    return "".join(line + "\n" for line in lines) or "None.\n"


def missed(runs: Sequence[Judged]) -> str:
    """The manifest faults that were not named right, one by one, and what was said instead."""
    lines = [
        f"- {run.case.name}, from step {run.outcome.onset} of {run.outcome.steps} on: "
        + (", ".join(f"{alert.rule} at step {alert.raised_step}" for alert in run.since_onset) or "nothing said")
        for run in _manifest(runs)
        if run.right is None
    ]
    return "".join(line + "\n" for line in lines) or "None.\n"


def _sick(runs: Sequence[Judged]) -> list[Judged]:
    return [run for run in runs if not run.is_healthy]


def _manifest(runs: Sequence[Judged]) -> list[Judged]:
    return [run for run in _sick(runs) if run.is_manifest]


def _late(runs: Sequence[Judged]) -> list[Judged]:
    return [run for run in _sick(runs) if run.outcome.onset > 1]


def _is_right(run: Judged) -> bool:
    return run.right is not None


def _share_of(runs: Sequence[Judged], holds: Callable[[Judged], object]) -> str:
    return share(sum(bool(holds(run)) for run in runs), len(runs))


def _flagged(runs: Sequence[Judged]) -> str:
    return _share_of(runs, lambda run: run.false_alarms)


def _per_training(runs: Sequence[Judged]) -> str:
    healthy = [run for run in runs if run.is_healthy]
    return f"{sum(len(run.false_alarms) for run in healthy) / len(healthy):.3f}"


def _per_steps(runs: Sequence[Judged]) -> str:
    healthy = [run for run in runs if run.is_healthy]
    return rate(sum(len(run.false_alarms) for run in healthy), sum(run.outcome.steps for run in healthy))


def _delays(runs: Sequence[Judged], kind: int) -> str:
    delays = [run.delay[kind] for run in _manifest(runs) if run.delay]
    return f"median {statistics.median(delays):.0f}, most {max(delays)}" if delays else "none"


def _roots(runs: Sequence[Judged]) -> str:
    incidents = [(run, alert) for run in _manifest(runs) for alert in run.since_onset]
    return share(sum(alert.rule in run.case.fault.named_by for run, alert in incidents), len(incidents))


def _flapping(runs: Sequence[Judged]) -> str:
    alerts = [alert for run in runs for alert in run.told]
    return share(sum(alert.count > 1 for alert in alerts), len(alerts))
