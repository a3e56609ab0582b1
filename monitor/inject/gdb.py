"""The way in through gdb, for machines whose registers we do not know: the same two calls, at some hundred ms.

gdb is kept from reading symbols, which would take seconds, and from running any file of its own or of the program's
folder. It would allocate the text with the program's ``malloc``, which may be in the middle of something: pages of
their own are safe anywhere.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from monitor.inject.image import library_symbols
from monitor.inject.target import InjectionError, Target

_PATIENCE_S = 30.0
_QUIET = ("set auto-load off", "set auto-solib-add off", "set debuginfod enabled off")


def inject(target: Target, text: str) -> float:
    """Have the text run by the process; returns how long gdb was at it. Raises PermissionError, InjectionError."""
    data = text.encode() + b"\0"
    mmap = library_symbols(target.pid, "libc", frozenset({"mmap"})).get("mmap")
    if mmap is None:
        raise InjectionError("no C library was found in it")
    with tempfile.NamedTemporaryFile() as file:  # only this user may read or write it
        file.write(data)
        file.flush()
        calls = [
            "set unwindonsignal on",
            f"set $text = ((char *(*)(long, long, int, int, int, long)) {mmap})(0, {len(data)}, 3, 34, -1, 0)",
            f"restore {file.name} binary $text",
            f"set $full = ((int (*)(long, char *)) {target.add_pending_call})({target.run_string}, $text)",
            'printf "pending calls full: %d\\n", $full',
            "detach",
        ]
        began = time.perf_counter()
        said = _gdb(target.pid, calls)
        took_s = time.perf_counter() - began
    if "pending calls full: 0" in said:
        return took_s
    if "Operation not permitted" in said:
        raise PermissionError(said)
    raise InjectionError(f"gdb said: {said.strip().splitlines()[-1] if said.strip() else 'nothing'}")


def _gdb(pid: int, calls: list[str]) -> str:
    words = ["gdb", "-nx", "-nh", "-batch"]
    for setting in _QUIET:
        words += ["-iex", setting]
    words += ["-p", str(pid)]
    for call in calls:
        words += ["-ex", call]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE_S, check=False, cwd=Path("/"))
    except subprocess.TimeoutExpired as error:
        raise InjectionError("gdb did not come to an end") from error
    return done.stdout + done.stderr
