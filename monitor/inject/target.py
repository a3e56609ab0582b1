"""Which processes can be entered; and of one that cannot, why, and what to do about it."""

from __future__ import annotations

import os
import pwd
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from monitor.inject.image import mappings, python_symbols, read_word

_PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
_CALLS = frozenset({"Py_AddPendingCall", "PyRun_SimpleString"})
_INSTEAD = "; next time `bedside run` needs no permission"


class Refused(Exception):  # noqa: N818  what happened, in the words of the reader
    """A process that cannot be entered; the message is one line that says why, and what to do."""


class InjectionError(Exception):
    """A process could not be entered, and is as it was."""


@dataclass(frozen=True, slots=True)
class Target:
    """A process that can be entered, as far as it can be told from outside."""

    pid: int
    uid: int
    #: Where its CPython has the two functions that are called there.
    add_pending_call: int
    run_string: int
    #: CPython's version, as in ``(3, 13)``; ``None`` before 3.11, which does not tell it.
    version: tuple[int, int] | None
    executable: Path


@dataclass(frozen=True, slots=True)
class Candidate:
    """A Python process with torch, for a list."""

    pid: int
    command: str


def candidates() -> list[Candidate]:
    """The Python processes of this user that have torch loaded, those started last first."""
    found = []
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda each: -int(each.name)):
        pid = int(folder.name)
        if pid != os.getpid() and _is_ours(pid) and _has_torch(pid):
            found.append(Candidate(pid, _command(pid)))
    return found


def inspect(pid: int) -> Target:
    """Look at a process from outside. Raises Refused."""
    if sys.platform != "linux":
        raise Refused(f"a running process can be entered on Linux only, and this is {sys.platform}{_INSTEAD}")
    status = _status_untraced(pid)
    owner = int(status["Uid"].split()[1])
    if not _may_enter(owner):
        raise Refused(f"process {pid} belongs to {_user(owner)}, and you are {_user(os.geteuid())}; "
                      f"only {_user(owner)} may enter it")  # fmt: skip
    if reason := _state(pid, status):
        raise Refused(f"process {pid} {reason}")
    try:
        if Path(f"/proc/{pid}/ns/mnt").stat().st_ino != Path("/proc/self/ns/mnt").stat().st_ino:
            raise Refused(f"process {pid} runs in a container; type the command in there (docker exec, kubectl exec)")
        symbols = python_symbols(pid, _CALLS)
        version = python_symbols(pid, frozenset({"Py_Version"}))
        has_torch = _has_torch(pid)
        executable = Path(f"/proc/{pid}/exe").readlink()
        number = read_word(pid, version["Py_Version"]) if version else 0
    except PermissionError as error:
        raise Refused(f"process {pid} may not be looked into: {forbidden(pid)}") from error
    except OSError as error:
        raise Refused(f"process {pid} has ended") from error
    if not symbols:
        raise Refused(f"process {pid} is no Python program ({_command(pid)})")
    if not has_torch:
        raise Refused(f"process {pid} has no torch loaded; `bedside attach` lists the processes that have")
    found = (number >> 24, number >> 16 & 0xFF) if number else None
    return Target(pid, owner, symbols["Py_AddPendingCall"], symbols["PyRun_SimpleString"], found, executable)


def _status_untraced(pid: int) -> dict[str, str]:
    """``/proc/PID/status``; another ``bedside attach`` traces for some milliseconds, and is waited for."""
    for _ in range(20):
        status = _status(pid)
        if status.get("TracerPid", "0") == "0":
            break
        time.sleep(0.05)
    return status


def forbidden(pid: int) -> str:
    """Why the kernel says no to a process of this user, as far as it can be told."""
    if tracer := int(_status(pid).get("TracerPid", "0")):
        return f"process {tracer} ({_command(tracer)}) traces it already"
    try:
        scope = int(_PTRACE_SCOPE.read_text())
    except (OSError, ValueError):
        scope = 0
    if scope == 3:
        return f"ptrace_scope is 3 on this machine, which forbids it to everybody until the next start{_INSTEAD}"
    if scope:
        lower = "" if scope == 2 else ", or once: echo 0 | sudo tee /proc/sys/kernel/yama/ptrace_scope"
        return f"ptrace_scope is {scope} on this machine; type: sudo bedside attach {pid}{lower}{_INSTEAD}"
    return (
        "the kernel forbids it; in a container it needs --cap-add=SYS_PTRACE, and a program that "
        f"made itself undumpable cannot be entered at all{_INSTEAD}"
    )


def _state(pid: int, status: dict[str, str]) -> str:
    """What is the matter with a process, or nothing."""
    state = status["State"][:1]
    if state in "ZX":
        return "has ended, and nobody has asked for its status yet"
    if state == "T":
        return f"is stopped; continue it first (fg, or kill -CONT {pid})"
    if tracer := int(status.get("TracerPid", "0")):
        return f"is traced by process {tracer} already ({_command(tracer)}); end that first"
    if "shstk" in status.get("x86_Thread_features", ""):
        return f"guards its returns by a shadow stack and cannot be entered{_INSTEAD}"
    return ""


def _may_enter(owner: int) -> bool:
    """This user's own; for root under sudo those of who typed it, since ptrace_scope may ask for that."""
    return owner == os.geteuid() or (os.geteuid() == 0 and os.environ.get("SUDO_UID") == str(owner))


def _is_ours(pid: int) -> bool:
    try:
        return _may_enter(Path(f"/proc/{pid}").stat().st_uid)
    except OSError:
        return False


def _has_torch(pid: int) -> bool:
    try:
        return any("libtorch" in each.path.rpartition("/")[2] for each in mappings(pid))
    except OSError:
        return False


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError as error:
        raise Refused(f"there is no process {pid}; `bedside attach` lists the processes that train") from error
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _command(pid: int) -> str:
    """The command line on one line; what is no sign, such as a line break in it, is shown as a space."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "gone"
    line = " ".join(word.decode(errors="replace") for word in words if word)[:200]
    return "".join(char if char.isprintable() else " " for char in line) or "no command line"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
