"""What the documentation says is what the program does."""

from __future__ import annotations

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


SEEN = (ROOT / "docs" / "reference" / "what-it-sees.md").read_text()
RELIABILITY = (ROOT / "docs" / "explanation" / "reliability.md").read_text()


@pytest.mark.parametrize("page", [SEEN, RELIABILITY], ids=["what-it-sees", "reliability"])
def test_every_row_names_its_test(page):
    rows = [line for line in page.splitlines() if line.startswith("| ") and "| test |" not in line]

    assert [row for row in rows if not re.search(r"`test_\w+`", row)] == []


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", SEEN + RELIABILITY))))
def test_every_test_that_it_names_is_there(name):
    assert [path for path in (ROOT / "tests").rglob("test_*.py") if f"def {name}(" in path.read_text()] != []
