"""``bedside run``: the user's script in a child process, which a probe waits in; everything else as without it.

The child has our standard streams and our process group, so a terminal's keys reach it as they reach us. What is
sent to us alone is passed on; its end becomes ours, exit code or signal.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from monitor.record import registry

USAGE = 2
_libc = ctypes.CDLL(None)
#: Sent to a process rather than typed, as a rule, and so passed on. Only Linux tells who sent an interrupt.
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_TYPED = (signal.SIGINT, signal.SIGQUIT)
_PR_SET_PDEATHSIG = 1
_BY_THE_KERNEL = 0x80  # SI_KERNEL: the terminal driver, which has told the child as well
#: How long the recorder is given to see how a training ended that could not say so itself.
_SEEN_S = 3.0


def run(target: str, arguments: Sequence[str], *, is_module: bool) -> int:
    """Run a script or a module under a probe. Returns the exit status; ends by the signal that ended the child."""
    if not is_module and (refusal := _unfit(target)) is not None:
        print(f"bedside run: {refusal}", file=sys.stderr)
        return USAGE
    how = "module" if is_module else "file"
    child = _Child([sys.executable, *_flags(), str(_script()), how, target, *arguments])
    status = child.wait()
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    number = os.WTERMSIG(status)
    print(f"bedside run: {target} was ended by {_name(number)}", file=sys.stderr)
    _end_by(number)
    return 128 + number


class _Child:
    """The process of the script. Our own signals are held back while it runs and looked at one by one."""

    def __init__(self, command: list[str]) -> None:
        self._handled = {*_PASSED_ON, *_TYPED, signal.SIGCHLD}
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._handled)
        # SIGCHLD is ignored by default, and an ignored signal is never waited for.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._process = subprocess.Popen(command, preexec_fn=self._begin)  # noqa: PLW1509  there is one thread here

    def _begin(self) -> None:
        """In the child, before it becomes the script: whoever kills us means the script."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        if sys.platform == "linux":
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def wait(self) -> int:
        """The wait status of the child, once it is over and the recorder has seen how."""
        pid = self._process.pid
        while (ended := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is None:
            number, sender = _next_signal(self._handled)
            if number in _PASSED_ON or (number in _TYPED and sender is not None and sender != _BY_THE_KERNEL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        if ended.si_code != os.CLD_EXITED:
            _let_it_be_seen(pid)
        status = os.waitpid(pid, 0)[1]
        self._process.returncode = os.waitstatus_to_exitcode(status)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        return status


def _next_signal(handled: set[signal.Signals]) -> tuple[int, int | None]:
    """Wait for a signal; its number, and where known what kind of sender it had."""
    if hasattr(signal, "sigwaitinfo"):
        told = signal.sigwaitinfo(handled)
        return told.si_signo, told.si_code
    return signal.sigwait(handled), None


def _let_it_be_seen(pid: int) -> None:
    """Leave the ended process unburied until its recorder has read from it which signal it was."""
    deadline = time.monotonic() + _SEEN_S
    while time.monotonic() < deadline and any(run.is_here and run.pid == pid for run in registry.live_runs()):
        time.sleep(0.05)


def _end_by(number: int) -> None:
    """End as the child did, so that who started us sees the same; without a second core file."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    sys.stdout.flush()
    with contextlib.suppress(OSError):  # SIGKILL cannot be set, and need not be
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _unfit(target: str) -> str | None:
    """Why a target is no script that can be run, or None."""
    if Path(target).is_dir() and not Path(target, "__main__.py").exists():
        return f"{target} is a folder without a __main__.py; a Python script is needed, or -m and a module's name"
    if Path(target).exists():
        return None
    if Path(target).name == target and shutil.which(target):
        return (
            f"{target} is a program of its own; let it start `bedside run`, as in: torchrun --no-python bedside run"
        )
    return f"no file {target!r} here; a Python script is needed, or -m and a module's name"


def _flags() -> list[str]:
    """The options of this interpreter: -O, -W, -X and such."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return flags


def _script() -> Path:
    """The program that becomes the script; it belongs to the probe, which is not imported here."""
    spec = find_spec("probe")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "zero" / "script.py"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
