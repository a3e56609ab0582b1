"""``bedside diagnose``: the rules over finished runs and other people's logs; one report, as JSON or for people."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from monitor import rows
from monitor.engine import Engine
from monitor.feeds.imports import ImportedRun, LogError, read_log
from monitor.model import Alert, Severity
from monitor.tail import printable
from probe import wire

#: The version of the report.
SCHEMA: Final = 1
SQLITE_MAGIC: Final = b"SQLite format 3\0"
SIGNS: Final = {"critical": "✗", "warning": "▲", "notice": "●", "info": "○"}

#: A report is what ``--json`` prints: plain dictionaries, lists, strings and numbers.
Report = dict[str, Any]


def diagnose(paths: Iterable[str | Path], mapping: Mapping[str, str] | None = None) -> Report:
    """The report on all files. A file that cannot be read stands under ``errors``; the others are still judged."""
    report: Report = {"schema": SCHEMA, "errors": [], "runs": []}
    for source in paths:
        try:
            for run in read(Path(source), mapping):
                report["runs"].append({**judge(run), "source": str(source)})
        except LogError as error:  # noqa: PERF203  one unreadable file does not hide the others
            report["errors"].append({"source": str(source), "message": str(error)})
    return report


def exit_status(report: Report) -> int:
    """0 nothing alarming, 1 a run is sick, 2 a file could not be read (which wins)."""
    if report["errors"]:
        return 2
    alarming = {severity.label for severity in Severity if severity.is_alarm}
    return int(any(alert["severity"] in alarming for run in report["runs"] for alert in run["alerts"]))


def as_json(report: Report) -> str:
    """One JSON object; every number in it is finite, the others are words."""
    return json.dumps(report, ensure_ascii=False, allow_nan=False)


def as_text(report: Report) -> str:
    """The report on the runs for people: a line a run, three an alert."""
    lines = []
    for run in report["runs"]:
        points = ", ".join(f"{key} {count:,}" for key, count in run["points"].items()) or "nothing that rules look at"
        lines.append(f"{run['run']}  {run['steps']:,} {run['step_unit']}s  ({points})")
        lines += [line for alert in run["alerts"] for line in alert_lines(alert)] or ["  nothing found"]
        lines.append("")
    return "\n".join(map(printable, lines)).rstrip()


def alert_lines(alert: Mapping[str, Any]) -> list[str]:
    end = f", resolved at {alert['resolved_step']}" if alert["resolved_step"] is not None else ""
    with_it = f"  (with {', '.join(alert['symptoms'])})" if alert["symptoms"] else ""
    head = f"{SIGNS[alert['severity']]} {alert['rule']} ({alert['severity']}, said at {alert['raised_step']}{end})"
    return [
        f"  {head}{with_it}",
        f"    {alert['summary']}",
        f"    → {alert['action']}",
    ]


# --------------------------------------------------------------------------------------------------------- the parts


def read(path: Path, mapping: Mapping[str, str] | None = None) -> list[ImportedRun]:
    """The runs of one file, Bedside's own or another's. Raises :class:`LogError`."""
    if is_run_file(path):
        return [ImportedRun(path.stem, "step", recorded(path))]
    return read_log(path, mapping)


def recorded(path: Path) -> Iterator[wire.Message]:
    """What is in a run file, a page at a time: a million steps need not fit into memory."""
    from monitor.record.runfile import RunFileError, read_run

    try:
        yield from read_run(path)
    except RunFileError as error:
        raise LogError(str(error).removeprefix(f"{path} ").rstrip(".")) from None  # the report names the file itself


def is_run_file(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
    except OSError:
        return False  # the reader of logs says why


def judge(run: ImportedRun) -> Report:
    """One run's part of the report. Alerts are judged anew: the rules of today, over what was recorded."""
    engine, points, step, count = Engine(), dict[str, int](), 0, 0
    name, goodbye = run.name, None
    for message in run.messages:
        if isinstance(message, wire.Hello):
            engine.hello(message)
            name = message.name
        elif isinstance(message, wire.Goodbye):
            goodbye = message
        elif isinstance(message, wire.Batch):
            engine.feed(message)
            count += message.rows
            step = max(step, int(rows.steps_of(message)[-1])) if message.rows else step
            for key in message.scalars:
                points[key] = points.get(key, 0) + len(rows.column_of(message, key)[0])
    engine.finish(goodbye)
    return {
        "run": name,
        "source": "",
        "step_unit": run.step_unit,
        "steps": step if run.step_unit == "step" else count,
        "points": points,
        "alerts": [alert_entry(alert) for alert in ordered(engine.alerts)],
    }


def ordered(alerts: Sequence[Alert]) -> list[Alert]:
    """Most severe first, then as they were raised."""
    return sorted(alerts, key=lambda alert: (-alert.severity, alert.raised_step, alert.id))


def alert_entry(alert: Alert) -> Report:
    return {
        "rule": alert.rule,
        "severity": alert.severity.label,
        "first_step": alert.first_step,
        "raised_step": alert.raised_step,
        "resolved_step": alert.resolved_step,
        "signals": list(alert.signals),
        "where": list(alert.where),
        "evidence": {name: number(value) for name, value in alert.evidence.items()},
        "symptoms": list(alert.symptoms),
        "summary": alert.summary,
        "action": alert.action,
        "confidence": alert.confidence,
    }


def number(value: float) -> float | str:
    """A number as JSON can hold it.

    >>> number(0.5), number(float("nan")), number(float("-inf"))
    (0.5, 'nan', '-inf')
    """
    if math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
