"""Which file a run is recorded in: named by when it began, by its name and its id."""

from __future__ import annotations

import glob
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from monitor.record import registry
from monitor.record.runfile import RunFileError, read_hello
from probe import wire


def run_path(hello: wire.Hello) -> Path:
    """Where the run file of that run lies, or is to lie. The same for every recorder of it: a new one finds it again.

    A file that is there is known by its Hello: the time in its name is that of the first recorder's timezone, and a
    rank that is left and entered again bears the id of its job once more.
    """
    folder = registry.home() / "runs"
    end = f"-{hello.run_id}{f'.r{hello.rank}' if hello.rank else ''}{registry.SUFFIX}"
    paths = (folder / f"{start}{end}" for start in _starts(hello))
    path = next(paths)
    try:
        there = [file for file in folder.glob(f"*{glob.escape(end)}") if registry.FILE_NAME.fullmatch(file.name)]
    except OSError:
        there = []  # a home that cannot be read is said by who opens the file
    begun = {file: _begun_s(file) for file in sorted(there)}
    for file in (path, *begun):
        if begun.get(file) == hello.started_s:
            return file
    while begun.get(path) is not None:
        path = next(paths)
    return path


def _starts(hello: wire.Hello) -> Iterator[str]:
    """What its file's name begins with; then others, should an earlier part of the same second have that."""
    for later_s in count():
        started = time.strftime("%Y%m%dT%H%M%S", time.localtime(hello.started_s + later_s))
        yield f"{started}-{registry.slug(hello.name)}"


def _begun_s(file: Path) -> float | None:
    """When the run in it began; ``None`` if that is not in it, or not yet."""
    try:
        hello = read_hello(file)
    except RunFileError:
        return None
    return None if hello is None else hello.started_s
