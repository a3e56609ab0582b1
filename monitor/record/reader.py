"""The far end of ``ssh://``: tells another machine, on standard output, what is recorded on this one.

A recorder leaves the way to this program behind (:func:`leave`), so that an ssh login finds it although nothing of
Bedside is on its PATH: the interpreter is the one that the training ran with.
"""

from __future__ import annotations

import os
import shlex
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from monitor.record import registry
from monitor.record.registry import RunEntry
from monitor.record.runfile import RunFileError, read_hello, read_run
from monitor.record.story import before
from monitor.record.summary import Summary, summary
from probe import wire

#: What comes first: a login may print something of its own before.
BEGIN = b"\0bedside\0"
LENGTH = struct.Struct(">I")

#: Runs told of beside the one that is looked for.
RUNS = 12

_SCRIPT = """\
#!/bin/sh
# Bedside on {host}: tells an ssh login of the runs here. Each recorder writes this anew.
[ -x {python} ] && [ -f {program} ] || exit 127
BEDSIDE_HOME={home} exec {python} -I -S {program} {paths} read "$@"
"""


class Listed(msgspec.Struct, frozen=True):
    """A run and where it stands."""

    entry: RunEntry
    stands: Summary


class Found(msgspec.Struct, frozen=True):
    """The run that was looked for, on this ``host``; and the newest ones beside it.

    A run that is neither live nor over is between two recorders.
    """

    host: str
    entry: RunEntry
    is_over: bool
    runs: list[Listed]


def leave() -> None:
    """Write the way to this program, in the words of a shell. Raises OSError."""
    path = registry.home() / "readers" / registry.hostname()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    script = _SCRIPT.format(
        host=registry.hostname(),
        home=shlex.quote(str(registry.home())),
        python=shlex.quote(sys.executable),
        program=shlex.quote(str(Path(__file__).with_name("__main__.py"))),
        paths=" ".join(f"--path {shlex.quote(folder)}" for folder in sys.path if folder),
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(script)
    temporary.chmod(0o700)
    temporary.replace(path)


def main(words: Sequence[str]) -> int:
    """``list``, ``find [RUN]``, ``read RUN AFTER_SEQ`` or ``before RUN``; the frames of the answer."""
    out = sys.stdout.buffer
    try:
        out.write(BEGIN)
        for frame in _answer(*words):
            out.write(LENGTH.pack(len(frame)) + frame)
        out.flush()
    except (registry.RunError, RunFileError) as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())  # else Python complains once more at its end
    return 0


def _answer(what: str, text: str = "", after_seq: str = "0") -> Iterator[bytes]:
    if what == "list":
        yield packed(registry.run_files())
    elif what == "find":
        entry = registry.find(text) if text else _newest()
        runs = [Listed(run, _standing(run)) for run in registry.runs()[:RUNS]]
        yield packed(Found(registry.hostname(), entry, _is_over(entry), runs))
    elif what == "read":
        yield from map(wire.encode, read_run(_file(text), int(after_seq)))
    elif what == "before":
        hello = read_hello(_file(text))
        yield from map(wire.encode, before(hello) if hello is not None and hello.resumes else ())


def packed(value: object) -> bytes:
    """As MessagePack; a path as its text."""
    return msgspec.msgpack.encode(value, enc_hook=str)


def _newest() -> RunEntry:
    """The newest live run, else the newest; of a job with several ranks rank 0."""
    entries = registry.runs()
    if not entries:
        raise registry.RunNotFound(f"There are no runs in {registry.home()} yet.")
    return next((entry for entry in entries if entry.live), entries[0])


def _file(text: str) -> Path:
    path = registry.find(text).path
    if path is None:
        raise RunFileError(f"{text} is in memory only.")
    return path


def _standing(entry: RunEntry) -> Summary:
    return summary(entry.path) if entry.path else Summary()


def _is_over(entry: RunEntry) -> bool:
    if entry.live is not None or entry.path is None:
        return False
    return any(isinstance(message, wire.Goodbye) for message in read_run(entry.path, 1 << 62))
