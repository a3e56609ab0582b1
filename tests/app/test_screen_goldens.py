"""The whole screen as text, for each state of a run, at the sizes that the design fixes.

After a wanted change of the looks: ``UPDATE_GOLDENS=1 python -m pytest tests/app/test_screen_goldens.py``, then read
the difference of the text files as one reads code.
"""

import os
from pathlib import Path

import pytest
import screen_snapshots as snapshots
from screen_driver import shown

GOLDENS = Path(__file__).parent / "goldens"
STATES = (
    *("healthy", "alarming", "link_lost", "paused", "finished", "waiting", "nan_only", "one_step"),
    *("many_classes", "many_layers"),
)


def assert_golden(name, text):
    path = GOLDENS / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"the screen differs from {path.name}"


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("state", STATES)
async def test_the_screen_looks_as_designed(state, size):
    async with shown(snapshots.STATES[state](), size) as bedside:
        assert_golden(f"{state}-{size[0]}x{size[1]}", bedside.text)


async def test_the_smallest_screen_looks_as_designed():
    async with shown(snapshots.alarming(), (60, 16)) as bedside:
        assert_golden("alarming-60x16", bedside.text)


async def test_ascii_looks_as_designed_and_is_ascii():
    async with shown(snapshots.alarming(), (80, 24), ascii=True) as bedside:
        assert bedside.text.isascii()
        assert_golden("alarming-80x24-ascii", bedside.text)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("moment", ["enter"]),
        ("inspect", ["enter", "enter"]),
        ("wall", ["w"]),
        ("zoom", ["z", "left"]),
        ("palette", ["colon"]),
    ],
)
async def test_what_a_key_brings_looks_as_designed(name, keys):
    async with shown(snapshots.alarming(), (120, 40), explain=lambda rule: f"What {rule} looks for.") as bedside:
        await bedside.press(*keys)
        assert_golden(f"{name}-120x40", bedside.text)


async def test_help_looks_as_designed():
    async with shown(snapshots.alarming(), (80, 24)) as bedside:
        await bedside.press("question_mark")
        assert_golden("help-80x24", bedside.text)
