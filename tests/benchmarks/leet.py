"""The same of W&B LEET, the terminal screen that comes with wandb, where it can be installed: it reads its file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from figures import say
from pseudo_terminal import PseudoTerminal

_PEERS = Path(__file__).parent / "peers"
sys.path.insert(0, str(_PEERS))

from environments import NotInstalledError, python_of

#: A step that is not on the screen by then is counted with this.
_PATIENCE_S = 30.0
#: The mark of a step and of those after it, 5 s of them.
_MARKS = 10
_TICKS = os.sysconf("SC_CLK_TCK")


def rows(seconds: float, steps: int) -> Iterator[list[str]]:
    say("screen: W&B LEET")
    try:
        python = python_of("wandb")
    except NotInstalledError as error:
        yield ["W&B LEET", f"cannot be installed here: {error}", "", ""]
        return
    with _watched(python, per_s=50) as (terminal, _):
        time.sleep(8)
        sent, cpu_s, begun = terminal.bytes, _cpu_s(terminal.pid), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - begun
        yield _row("50 steps/s: CPU", f"{100 * (_cpu_s(terminal.pid) - cpu_s) / took:.1f} % of a core")
        yield _row("50 steps/s: bytes", f"{(terminal.bytes - sent) / took / 1024:.1f} KiB/s")
    with _watched(python, per_s=2) as (terminal, feed):
        time.sleep(8)
        waits_s = [wait_s for _, wait_s in zip(range(steps), _waits_s(terminal, feed), strict=False)]
        yield _row("2 steps/s: step to screen, 95th percentile", f"{float(np.percentile(waits_s, 95)):.1f} s")


def _row(what: str, measured: str) -> list[str]:
    row = [f"W&B LEET, ten series, {what}", measured, "", ""]
    say(" | ".join(row))
    return row


@contextmanager
def _watched(python: str, *, per_s: float) -> Iterator[tuple[PseudoTerminal, subprocess.Popen[str]]]:
    """A run that goes on, and LEET in the folder that it is in."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        own = dict.fromkeys(("WANDB_DIR", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR"), folder)
        env = {**os.environ, **own, "WANDB_ERROR_REPORTING": "false", "LANG": "C.UTF-8"}
        feed = subprocess.Popen(
            [python, str(_PEERS / "leet_feed.py"), folder, str(per_s)], env=env, stdout=subprocess.PIPE, text=True
        )
        assert feed.stdout is not None
        feed.stdout.readline()
        leet = [str(Path(python).with_name("wandb")), "leet", str(Path(folder) / "wandb")]
        terminal = PseudoTerminal(leet, 120, 40, env=env)
        try:
            yield terminal, feed
        finally:
            for pid in (*_family(feed.pid), *_family(terminal.pid)[1:]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            feed.wait()
            terminal.close()


def _waits_s(terminal: PseudoTerminal, feed: subprocess.Popen[str]) -> Iterator[float]:
    """Of steps that are logged from now on, one by one, how long until their mark, or a later one, was shown."""
    assert feed.stdout is not None
    live_s = time.monotonic()
    for line in feed.stdout:
        logged_s, *marks = line.split()
        if float(logged_s) < live_s:
            continue
        terminal.forget()
        # Of a number that changes LEET may send only the digits that differ: the last five are enough to know it by,
        # as long as few are looked for in little text.
        try:
            yield terminal.shows("|".join(mark[-5:] for mark in marks[:_MARKS]), _PATIENCE_S) - float(logged_s)
        except TimeoutError:
            yield _PATIENCE_S
        live_s = time.monotonic()  # what was logged meanwhile may have been shown with it


def _cpu_s(pid: int) -> float:
    """What the process and those that it started used so far: LEET itself is a program that wandb's starts."""
    total = 0.0
    for one in _family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / _TICKS
    return total


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = children.read_text().split() if children.exists() else []
    return [pid, *(one for child in found for one in _family(int(child)))]
