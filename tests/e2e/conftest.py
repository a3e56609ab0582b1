"""The fixtures of the end-to-end tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from world import Terminal, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


@pytest.fixture
def terminal(world: World) -> Iterator[Callable[[int, int], Terminal]]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed: apt-get install tmux")
    opened: list[Terminal] = []

    def open_terminal(columns: int = 120, rows: int = 40) -> Terminal:
        opened.append(Terminal(world, columns, rows))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()
