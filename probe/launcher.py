"""Starts the recorder, knows at once when it has ended, and starts it again within reason.

``subprocess`` and never ``fork``: the training process has threads and perhaps a CUDA context. The child is the
program file of the recorder, run with ``-I -S`` so that neither PYTHONPATH nor the working folder nor a ``.pth``
file has a say; the folders of the packages that it needs are appended behind the standard library, so that a
``logging.py`` that lies beside them is never taken for the real one. The child detaches itself from this process
(see there): a user's ``os.wait()`` never meets it, except where the training is process 1 of its container. Orphans
are given to that one, and a recorder that ended before the training is a child like any other to its ``os.wait()``.

Every recorder of a run gets the environment that the first one had, made whole against the working folder of that
moment: a script that goes elsewhere, or sets HOME or TZ, must not send the next recorder to another file.

The *lifeline* is a pipe whose writing end only the recorder holds. It says ``ready`` there, or the reason why it
cannot go on, and the pipe ends when the recorder does, however that comes about.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from probe.runtime import RuntimeFolderError

logger = logging.getLogger("probe")

#: What the recorder imports beside the standard library and Bedside itself.
_NEEDS = ("msgspec", "zmq", "numpy", "platformdirs")
_STARTS_A_MINUTE = 6
#: Between two looks at the lifeline. A look that finds nothing costs 30 microseconds of the training's CPU.
_LOOK_S = 0.25
_FIRST_PAUSE_S = 0.25
_MAX_PAUSE_S = 8.0

#: Descriptors open only while a recorder is being started. A data-loader worker forked at that moment would hold
#: the lifeline open for as long as it lives, so a forked child closes them.
_passing: set[int] = set()


class Launcher:
    """Keeps one recorder alive. ``poll`` is called in every turn of the sender's thread.

    ``arguments`` gives the recorder's own, at each start; its environment is that of the moment when this is made.
    ``notify`` takes the place of ``BEDSIDE_NOTIFY``: no argument, for these are there for everybody to read.
    """

    def __init__(self, arguments: Callable[[], Sequence[str]], *, notify: str | None = None) -> None:
        self._arguments = arguments
        self._notify = {} if notify is None else {"BEDSIDE_NOTIFY": notify}
        self._environment: dict[str, str] = {}
        with contextlib.suppress(OSError):  # the working folder is gone: said at the start, and looked at again there
            self._environment = _environment()
        self._folders: dict[str, str] = {}
        self._lifeline = -1
        self._said = b""
        self._last_words: list[str] = []
        self._starts: deque[float] = deque(maxlen=_STARTS_A_MINUTE)
        self._pause_s = 0.0
        self._next_start = self._next_look = 0.0
        self._warned = False

    def poll(self) -> bool:
        """Start the recorder if there is none and it is time to; True if a new one was started."""
        now = time.monotonic()
        if self._lifeline >= 0 and now >= self._next_look:
            self._next_look = now + _LOOK_S
            self._read_lifeline()
        if self._lifeline >= 0 or now < self._next_start:
            return False
        return self._start()

    def close(self) -> None:
        """Let go of the recorder, which ends by itself."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _start(self) -> bool:
        now = time.monotonic()
        if len(self._starts) == _STARTS_A_MINUTE and now - self._starts[0] < 60.0:
            self._next_start = self._starts[0] + 60.0
            self._warn(f"it ended again and again, last with: {''.join(self._last_words) or 'no word'}")
            return False
        self._starts.append(now)
        self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _MAX_PAUSE_S)
        self._next_start = now + self._pause_s
        try:
            self._spawn()
        except (OSError, ValueError, subprocess.SubprocessError, RuntimeFolderError) as error:
            self._warn(str(error))
            return False
        return True

    def _spawn(self) -> None:
        if not sys.executable:
            raise ValueError("this Python does not know its own program (sys.executable is empty)")
        reading, writing = os.pipe()
        inherited = [writing]
        _passing.add(writing)
        try:
            os.set_blocking(reading, False)
            command = [sys.executable, "-I", "-S", str(_program()), *self._arguments(), "--lifeline", str(writing)]
            pidfd = _own_pidfd()
            if pidfd is not None:
                inherited.append(pidfd)
                command += ["--pidfd", str(pidfd)]
            for folder in dict.fromkeys(self._look_up()):
                command += ["--path", folder]
            self._environment = self._environment or _environment()
            self._run(command, inherited, {**self._environment, **self._notify})
        except BaseException:
            os.close(reading)
            raise
        finally:
            for fd in inherited:
                os.close(fd)
            _passing.discard(writing)
        self._lifeline, self._said = reading, b""

    def _look_up(self) -> Iterator[str]:
        """The folders that hold what the recorder imports: those of the first start, as long as they are there."""
        for name in _NEEDS:
            known = self._folders.get(name)
            if not known or not Path(known).is_dir():
                known = self._folders[name] = _folder(name)
            if known:
                yield known

    @staticmethod
    def _run(command: list[str], inherited: list[int], environment: dict[str, str]) -> None:
        """Run the first process of the two, which only starts the second and ends."""
        null = subprocess.DEVNULL
        with subprocess.Popen(
            command,
            stdin=null,
            stdout=null,
            stderr=null,
            cwd="/",
            env=environment,
            close_fds=True,
            pass_fds=inherited,
            start_new_session=True,
        ) as process:
            process.wait(timeout=30.0)

    def _read_lifeline(self) -> None:
        try:
            said = os.read(self._lifeline, 4096)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        self._said = (self._said + said)[-4096:]
        if said:
            return
        self.close()
        lines = self._said.decode(errors="replace").splitlines()
        was_ready = lines[:1] == ["ready"]
        self._last_words = (lines[1:] if was_ready else lines)[-1:]
        if not was_ready:
            self._warn(lines[-1] if lines else "it ended before it was ready")
        elif self._next_start < time.monotonic() - 60.0:
            self._pause_s = self._next_start = 0.0

    def _warn(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "Bedside cannot record this run: its recorder does not run (%s). Training goes on; it is tried "
                "again from time to time, and 'bedside doctor' says more.",
                reason,
            )


def _program() -> Path:
    return Path(__file__).resolve().parent.parent / "monitor" / "record" / "__main__.py"


def _folder(name: str) -> str:
    """The folder that holds this package, as this process sees it; empty if there is none."""
    with contextlib.suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            place = Path(spec.origin).resolve().parent
            return str(place.parent if spec.submodule_search_locations else place)
    return ""


def _environment() -> dict[str, str]:
    """This process's own, with a home that does not depend on the working folder and no pools of idle threads."""
    environment = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[name] = "1"
    if home := environment.get("BEDSIDE_HOME"):
        environment["BEDSIDE_HOME"] = str(Path(home).absolute())
    return environment


def _own_pidfd() -> int | None:
    """A descriptor that becomes readable when this process ends: Linux 5.3 and up."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(os.getpid())
    except OSError:
        return None


def _close_passing() -> None:
    for fd in _passing:
        with contextlib.suppress(OSError):
            os.close(fd)
    _passing.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_passing)
