import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitor.commands.watching import resolve
from monitor.session import Session

for folder in ("record", "wire", "e2e"):
    sys.path.insert(0, str(Path(__file__).parent.parent / folder))

from toy_run import monitor_of, toy_run  # noqa: E402, F401


@pytest.fixture
def watch() -> Iterator[Callable[[str], Session]]:
    """A function that opens a run in this process as ``bedside watch TEXT`` does."""
    sessions: list[Session] = []

    def watch(text: str) -> Session:
        sessions.append(Session(resolve(text).feed))
        sessions[-1].start()
        return sessions[-1]

    yield watch
    for session in sessions:
        session.close()
