"""``diagnose``: the report's exact form, its exit status, and what it does with what is no log."""

import json

import numpy as np
import pytest

from monitor.commands.diagnose import as_json, as_text, diagnose, exit_status
from monitor.record.runfile import Changes, RunFile
from probe import wire
from tests.synthetic_runs import HELLO, batch, falling

RUN_KEYS = ["run", "source", "step_unit", "steps", "points", "alerts"]
ALERT_KEYS = [
    "rule",
    "severity",
    "first_step",
    "raised_step",
    "resolved_step",
    "signals",
    "where",
    "evidence",
    "symptoms",
    "summary",
    "action",
    "confidence",
]


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def healthy(tmp_path):
    loss = falling(300, noise=0.02)
    return write_jsonl(tmp_path / "healthy.jsonl", [{"step": i, "loss": float(v)} for i, v in enumerate(loss, 1)])


@pytest.fixture
def sick(tmp_path):
    rows = [{"step": i, "loss": float(v) if i < 133 else "nan"} for i, v in enumerate(falling(200), 1)]
    return write_jsonl(tmp_path / "sick.jsonl", rows)


def test_a_healthy_run(healthy):
    report = diagnose([healthy])
    assert report == {
        "schema": 1,
        "errors": [],
        "runs": [
            {
                "run": "healthy",
                "source": str(healthy),
                "step_unit": "step",
                "steps": 300,
                "points": {"train/loss": 300},
                "alerts": [],
            }
        ],
    }
    assert exit_status(report) == 0


def test_a_sick_run_to_the_letter(sick):
    report = diagnose([sick])
    before = f"{falling(200)[131]:.3g}"
    assert report["runs"][0]["alerts"] == [
        {
            "rule": "non-finite",
            "severity": "critical",
            "first_step": 133,
            "raised_step": 133,
            "resolved_step": None,
            "signals": ["train/loss", "grad/norm", "val/loss"],
            "where": [],
            "evidence": {"loss": "nan", "before": pytest.approx(float(before), rel=0.01)},
            "symptoms": [],
            "summary": f"loss is NaN from step 133 on; the loss was {before} before",
            "action": "Check the inputs of step 133 for NaN, 0/0 and log(0); "
            "then reload the checkpoint before step 133",
            "confidence": 1.0,
        }
    ]
    assert exit_status(report) == 1


def test_the_json_is_strict_and_has_its_fields_in_order(sick):
    def refuse(word):
        raise AssertionError(word)

    report = json.loads(as_json(diagnose([sick])), parse_constant=refuse)
    (run,) = report["runs"]
    assert list(report) == ["schema", "errors", "runs"]
    assert list(run) == RUN_KEYS
    assert list(run["alerts"][0]) == ALERT_KEYS


def test_a_file_that_is_no_log_is_an_error_and_the_others_are_judged(tmp_path, sick):
    picture = tmp_path / "loss.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    report = diagnose([picture, tmp_path / "absent.csv", sick])
    assert report["errors"] == [
        {
            "source": str(picture),
            "message": "binary, and no Bedside run file; JSONL and CSV logs can be read, plain or gzipped",
        },
        {"source": str(tmp_path / "absent.csv"), "message": "no such file"},
    ]
    assert [run["run"] for run in report["runs"]] == ["sick"]
    assert exit_status(report) == 2


def test_remarks_and_notices_do_not_make_a_run_sick():
    alerts = [{"severity": "info"}, {"severity": "notice"}]
    assert exit_status({"errors": [], "runs": [{"alerts": alerts}]}) == 0


def test_the_text_says_what_began_where_and_what_to_do(sick, healthy):
    lines = as_text(diagnose([sick, healthy])).splitlines()
    assert lines[0] == "sick  200 steps  (train/loss 200)"
    assert lines[1] == "  ✗ non-finite (critical, said at 133)"
    assert lines[2].startswith("    loss is NaN from step 133 on")
    assert lines[3].startswith("    → Check the inputs of step 133")
    assert lines[5:] == ["healthy  300 steps  (train/loss 300)", "  nothing found"]


def test_a_bedside_run_file_is_judged_like_a_log(tmp_path):
    path = tmp_path / "run.bedside"
    loss = falling(200)
    loss[150:] = np.nan
    recorded = batch({"train/loss": loss})
    file = RunFile.create(path)
    meta = {"hello": wire.encode(HELLO), "goodbye": wire.encode(wire.Goodbye(time_s=200.0, reason="finished"))}
    file.write(Changes(meta=meta, batches=[(recorded, wire.encode(recorded))]))
    file.close()
    (run,) = diagnose([path])["runs"]
    assert (run["run"], run["steps"], run["step_unit"]) == ("synthetic", 200, "step")
    assert [(alert["rule"], alert["first_step"]) for alert in run["alerts"]] == [("non-finite", 151)]


def test_a_damaged_run_file_is_an_error(tmp_path):
    path = tmp_path / "run.bedside"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 100)
    report = diagnose([path])
    assert exit_status(report) == 2
    assert report["errors"] == [{"source": str(path), "message": "cannot be read: file is not a database"}]
