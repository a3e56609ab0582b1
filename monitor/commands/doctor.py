"""``bedside doctor``: each thing that has to be right, a line each, with what to do where it is not."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

NEEDED = ("textual", "pyzmq", "msgspec", "numpy", "platformdirs", "plotext")


class Finding(NamedTuple):
    """One line of the report."""

    is_fine: bool
    text: str
    remedy: str = ""


def main() -> int:
    """Print every finding; status 1 if one needs a hand."""
    found = [finding for check in CHECKS for finding in check()]
    for finding in found:
        print(f"{'ok' if finding.is_fine else '▲ '}  {finding.text}")
        if finding.remedy:
            print(f"      → {finding.remedy}")
    return 0 if all(finding.is_fine for finding in found) else 1


def packages() -> Iterator[Finding]:
    yield Finding(True, f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    yield from map(package, NEEDED)
    if importlib.util.find_spec("torch") is None:
        yield Finding(True, "torch is not installed here: this machine can watch, and training needs it")
    else:
        yield Finding(True, f"torch {version('torch')}")


def package(name: str) -> Finding:
    try:
        return Finding(True, f"{name} {version(name)}")
    except PackageNotFoundError:
        return Finding(False, f"{name} is not installed", f"pip install {name}")


def home_folder() -> Iterator[Finding]:
    from monitor.record import registry

    home = registry.home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        yield Finding(
            False, f"{home} cannot be written: {error.strerror}", "set BEDSIDE_HOME to a folder of your own"
        )
        return
    free = shutil.disk_usage(home).free / 2**30
    runs = len(registry.runs())
    yield Finding(
        free > 1.0, f"{home}: {runs} runs, {free:.1f} GiB free", "" if free > 1.0 else "free some space there"
    )


def socket_folder() -> Iterator[Finding]:
    from monitor.record import registry

    for run in registry.live_runs():
        yield Finding(True, f"live: {run.name} ({run.run_id}), pid {run.pid}")
    runtime = Path(f"/run/user/{os.getuid()}")
    outer = runtime if _is_private(runtime) else Path(tempfile.gettempdir()) / f"bedside-{os.getuid()}"
    there = [folder for folder in (outer, outer / "bedside") if os.path.lexists(folder)]
    for folder in there:
        if not _is_private(folder):
            state = folder.lstat()
            yield Finding(
                False,
                f"sockets cannot go to {folder}: owner {state.st_uid}, mode {state.st_mode & 0o777:o}",
                f"make it yours alone (chmod 700 {folder}) or remove it",
            )
            return
    made = "" if len(there) == 2 else ", made by the first run"
    yield Finding(True, f"sockets go to {outer / 'bedside'}{made}")


def _is_private(folder: Path) -> bool:
    try:
        state = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o077


def terminal() -> Iterator[Finding]:
    if not sys.stdout.isatty():
        yield Finding(True, "standard output is no terminal: `bedside` prints lines here")
        return
    columns, rows = shutil.get_terminal_size()
    small = columns < 80 or rows < 24
    remedy = "80x24 shows all panels that matter; 60x16 is the least" if small else ""
    yield Finding(not small, f"terminal {os.environ.get('TERM', '?')}, {columns}x{rows}", remedy)
    encoding = sys.stdout.encoding or "?"
    utf8 = encoding.lower().replace("-", "") == "utf8"
    yield Finding(
        utf8, f"encoding {encoding}", "" if utf8 else "set LANG to a UTF-8 locale, or use bedside watch --ascii"
    )
    deep = os.environ.get("COLORTERM") in ("truecolor", "24bit")
    yield Finding(
        True, "24-bit colour" if deep else "256 colours or fewer (COLORTERM is not truecolor); a palette fits them"
    )
    if "TMUX" in os.environ:
        yield Finding(True, "inside tmux; see docs/how-to/tmux-and-ssh.md for the settings that help")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (packages, home_folder, socket_folder, terminal)
