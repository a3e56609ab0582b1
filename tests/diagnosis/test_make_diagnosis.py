"""What ``make diagnosis`` says to wrong words, and that it can be stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.diagnosis import run
from tests.diagnosis.zoo.sick import PARTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "corpus"], "--only corpus needs a folder"),
        (["--corpus", "docs"], "docs is no folder of labelled logs: there is no manifest.tsv in it"),
        (["--recordings", "README.md"], "README.md is a file; --recordings takes a folder"),
    ],
)
def test_a_wrong_folder_is_named_before_anything_is_trained(words, said, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["run", *words])
    with pytest.raises(SystemExit):
        run.main()
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_ends_it_and_its_recordings_and_keeps_what_is_whole(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "tests.diagnosis.run", "--recordings", str(tmp_path)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        said = [process.stderr.readline() for _ in range(2)]  # both workers have begun to record
        os.killpg(process.pid, signal.SIGINT)
        said += process.stderr.readlines()
    assert process.returncode == 1
    assert [line.split()[:2] for line in said[:2]] == [["recording", next(iter(PARTS))]] * 2
    assert said[2:] == [
        "Stopped. Trainings that were recorded to the end are kept where --recordings names a folder.\n"
    ]
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
