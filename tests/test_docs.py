"""What the documentation says is what the program does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\]\(([^)#]+?)(#[^)]*)?\)")


def test_the_readmes_two_lines_are_those_of_the_minimal_example():
    readme, example = (ROOT / "README.md").read_text(), (ROOT / "examples" / "minimal.py").read_text()
    (two_lines,) = re.findall(r"```python\n(import probe\n.*?)```", readme, re.DOTALL)

    assert [line for line in two_lines.splitlines() if line not in example.splitlines()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    links = [link for link, _ in LINK.findall(page.read_text()) if "://" not in link]

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_generated_pages_are_what_the_code_says():
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, "")


def test_the_minimal_example_runs_and_is_recorded(tmp_path):
    env = {**os.environ, "BEDSIDE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "minimal.py"], env=env, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(list((tmp_path / "runs").glob("*-minimal-*.bedside"))) == 1
