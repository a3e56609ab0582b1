"""The ways into a running interpreter, and which of them a process takes."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator

from monitor.inject import gdb, ptrace, remote
from monitor.inject.target import InjectionError, Refused, Target, forbidden

#: Two commands at once: the second finds the process traced by the first, for a millisecond.
_RETRY_S = 1.0


#: What the text raises must not reach CPython, which expects nothing of the kind from such a call. An interrupt was
#: meant for the program, and a SystemExit, of a handler of its own, ends it.
_GUARDED = """\
try:
    __import__('builtins').exec({!r})
except KeyboardInterrupt:
    __import__('_thread').interrupt_main()
except Exception:
    pass
"""


def inject(target: Target, text: str) -> float:
    """Have the text run by the process; returns for how long it was stopped, in seconds. Raises Refused."""
    way = _way(target)
    deadline = time.monotonic() + _RETRY_S
    try:
        with _privileged():
            while True:
                with contextlib.suppress(PermissionError):
                    return way(target, _GUARDED.format(text))
                if time.monotonic() > deadline:
                    raise Refused(f"process {target.pid} may not be entered: {forbidden(target.pid)}")
                time.sleep(0.02)
    except (ProcessLookupError, FileNotFoundError) as error:
        raise Refused(f"process {target.pid} has ended meanwhile") from error
    except InjectionError as error:
        raise Refused(f"process {target.pid} could not be entered: {error}") from error


def _way(target: Target) -> Callable[[Target, str], float]:
    if target.version is not None and target.version >= (3, 14):
        return remote.inject
    if platform.machine() == "x86_64":
        return ptrace.inject
    if shutil.which("gdb"):
        return gdb.inject
    raise Refused(
        f"on {platform.machine()} the way into a Python before 3.14 is gdb, which is not installed here "
        "(apt-get install gdb, or start the training with `bedside run`)"
    )


@contextlib.contextmanager
def _privileged() -> Iterator[None]:
    """Root again for as long as it is needed, where ``sudo`` gave the right and it was laid down since."""
    real, effective, saved = os.getresuid() if hasattr(os, "getresuid") else (os.geteuid(),) * 3
    if effective == 0 or 0 not in (real, saved):
        yield
        return
    os.seteuid(0)
    try:
        yield
    finally:
        os.seteuid(effective)
