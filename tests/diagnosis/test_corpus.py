"""The rules over labelled logs of real runs, where there are some: ``BEDSIDE_CORPUS`` names the folder."""

import os
from pathlib import Path

import pytest

from tests.diagnosis.corpus import HEALTHY, judged

FOLDER = os.environ.get("BEDSIDE_CORPUS", "")

pytestmark = pytest.mark.skipif(not FOLDER, reason="no corpus: BEDSIDE_CORPUS names no folder")


@pytest.fixture(scope="module")
def runs():
    return list(judged(Path(FOLDER)))


def test_every_log_can_be_read(runs):
    assert [run.report["errors"] for run in runs if run.report["errors"]] == []


def test_no_healthy_run_rings(runs):
    assert {run.run_id: run.alarms for run in runs if run.label in HEALTHY and run.alarms} == {}


def test_every_nan_is_named(runs):
    assert [run.run_id for run in runs if run.label == "nan" and not run.is_named] == []
