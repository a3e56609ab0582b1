"""The way in that CPython has had since 3.14: it is given the path of a script. Nothing is stopped."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from monitor.inject.private import unsafe
from monitor.inject.target import InjectionError, Target

_CALL = "import sys; sys.remote_exec(int(sys.argv[1]), sys.argv[2])"
#: The script stays where it is for as long as the process may take to read it.
_READ_S = 5.0


def inject(target: Target, text: str) -> float:
    """Have the text run by the process. Only the same version can ask it, so its own interpreter does."""
    program = Path(sys.executable) if sys.version_info[:2] == target.version else target.executable
    if reason := unsafe(program):
        raise InjectionError(reason)
    folder = Path(tempfile.mkdtemp(prefix="bedside-"))
    script, read = folder / "enter.py", folder / "read"
    script.write_text(f"import pathlib; pathlib.Path({str(read)!r}).touch()\n{text}\n")
    try:
        done = subprocess.run(
            [str(program), "-I", "-S", "-c", _CALL, str(target.pid), str(script)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            if said[0].startswith("PermissionError"):
                raise PermissionError(said[0])
            raise InjectionError(said[0])
        deadline = time.monotonic() + _READ_S
        while not read.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
    finally:
        script.unlink()
        read.unlink(missing_ok=True)
        folder.rmdir()
    return 0.0
