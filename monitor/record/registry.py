"""Where runs are found: the run files of this machine, and the recorders that serve a run right now."""

from __future__ import annotations

import glob
import os
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import platformdirs

from probe.wire import Hello

SUFFIX = ".bedside"

_FILE_NAME = re.compile(r"(?P<started>\d{8}T\d{6})-(?P<name>.*)-(?P<id>[0-9a-f]{8})(\.r\d+)?\.bedside")
_MIN_PREFIX = 4
_MAX_NAMED = 8


class RunError(Exception):
    """Which run is meant cannot be said; the message is one line for a person."""


class RunNotFound(RunError):  # noqa: N818  what happened, in the words of the reader
    """No run has that name, id or path."""


class AmbiguousRun(RunError):  # noqa: N818
    """Several runs have that name."""


class LiveRun(msgspec.Struct, frozen=True, kw_only=True):
    """The registry entry of a recorder that serves: ``<home>/live/<id>.json``.

    ``live`` and ``ask`` are addresses to connect to; ``file`` is empty when the run is kept in memory only. The
    ``*_ticks`` are the processes' start times in the kernel's clock ticks (0: not known), because a process id is
    used again after a while.
    """

    run_id: str
    name: str
    host: str
    pid: int
    recorder_pid: int
    started_s: float
    file: str
    live: str
    ask: str
    interpreter: str = ""
    rank: int = 0
    world_size: int = 1
    pid_ticks: int = 0
    recorder_ticks: int = 0

    @property
    def is_served(self) -> bool:
        """Whether the recorder is there, as far as it can be known: that of another host is believed to be."""
        return self.host != hostname() or is_alive(self.recorder_pid, self.recorder_ticks)


class Processes(msgspec.Struct, frozen=True, kw_only=True):
    """The two processes of a run; kept in its file, so that a reader can tell that both are gone."""

    host: str
    pid: int
    recorder_pid: int
    pid_ticks: int = 0
    recorder_ticks: int = 0

    @property
    def are_gone(self) -> bool:
        """Whether nobody will write the file any more. Of another host's processes nothing is known."""
        if self.host != hostname():
            return False
        return not is_alive(self.recorder_pid, self.recorder_ticks) and not is_alive(self.pid, self.pid_ticks)


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A run that can be opened: live, from its file, or both."""

    run_id: str
    name: str
    started_s: float
    path: Path | None
    live: LiveRun | None = None
    rank: int = 0


# ------------------------------------------------------------------------------------------------------ the places


def home() -> Path:
    """``$BEDSIDE_HOME``, else the platform's folder for a program's state."""
    own = os.environ.get("BEDSIDE_HOME")
    return Path(own) if own else platformdirs.user_state_path("bedside")


def run_path(hello: Hello) -> Path:
    """Where the run file of that run lies. The same for every recorder of it, so that a new one finds it again.

    A file that is there is found by its id: the time in its name is that of the first recorder's timezone.
    """
    started = time.strftime("%Y%m%dT%H%M%S", time.localtime(hello.started_s))
    end = f"-{hello.run_id}{f'.r{hello.rank}' if hello.rank else ''}{SUFFIX}"
    path = home() / "runs" / f"{started}-{_slug(hello.name)}{end}"
    try:
        there = sorted(file for file in path.parent.glob(f"*{glob.escape(end)}") if _FILE_NAME.fullmatch(file.name))
    except OSError:
        there = []  # a home that cannot be read is said by who opens the file
    return path if path in there or not there else there[0]


def hostname() -> str:
    """The name of this machine, as the registry and a Hello have it."""
    return socket.gethostname()


# ------------------------------------------------------------------------------------------------------- live runs


def register(entry: LiveRun) -> None:
    """Write the entry, whole or not at all. Raises OSError."""
    path = _entry_path(entry.run_id, entry.rank)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(msgspec.json.encode(entry))
    temporary.replace(path)


def unregister(run_id: str, rank: int = 0) -> None:
    """Remove the entry. Raises OSError."""
    _entry_path(run_id, rank).unlink(missing_ok=True)


def live_runs() -> list[LiveRun]:
    """The runs that are served now, newest first. Entries whose recorder is gone are removed."""
    runs = []
    for path in sorted((home() / "live").glob("*.json")):
        try:
            entry = msgspec.json.decode(path.read_bytes(), type=LiveRun)
        except (OSError, msgspec.MsgspecError):
            continue  # just removed, or not ours
        if entry.is_served:
            runs.append(entry)
        elif not is_alive(entry.pid, entry.pid_ticks):
            # With the training process alive, its sender starts another recorder in a moment.
            _clean_up(path, entry)
    return sorted(runs, key=lambda run: (-run.started_s, run.run_id, run.rank))


def run_files() -> list[RunEntry]:
    """The runs that have a file or are served, newest first."""
    live = {Path(run.file): run for run in live_runs() if run.file}
    entries = []
    for path in (home() / "runs").glob(f"*{SUFFIX}"):
        entry = _entry_of(path)
        if entry is not None:
            entries.append(_with_live(entry, live.pop(path, None)))
    unfiled = [run for run in live_runs() if not run.file or Path(run.file) in live]
    entries += [RunEntry(run.run_id, run.name, run.started_s, None, run, run.rank) for run in unfiled]
    return sorted(entries, key=lambda entry: (-entry.started_s, entry.run_id, entry.rank))


def runs() -> list[RunEntry]:
    """The runs, newest first; a job with several ranks is one, and the lowest rank that there is stands for it."""
    found: dict[str, RunEntry] = {}
    for entry in run_files():
        known = found.get(entry.run_id)
        if known is None or entry.rank < known.rank:
            found[entry.run_id] = entry
    return list(found.values())


def find(text: str) -> RunEntry:
    """The run with that path, id (or the first four characters of one, or more) or name.

    A name that several runs bear stands for the live one, if just one of them is live; the ranks of a job count as
    one run, and rank 0 is meant. Raises :class:`RunNotFound` or :class:`AmbiguousRun`.
    """
    path = Path(text)
    is_path = os.sep in text or text.endswith(SUFFIX)  # else a file that happens to bear the name of a run hides it
    if is_path and path.is_file():
        return _entry_of(path) or RunEntry("", path.stem, path.stat().st_mtime, path)
    entries = runs()
    for matches in (
        [entry for entry in entries if entry.run_id == text],
        [entry for entry in entries if text in (entry.name, _slug(entry.name)) or entry.name == _slug(text)],
        [entry for entry in entries if len(text) >= _MIN_PREFIX and entry.run_id.startswith(text)],
    ):
        live = [entry for entry in matches if entry.live]
        if len(matches) == 1 or len(live) == 1:
            return (live or matches)[0]
        if matches:
            raise AmbiguousRun(f"{len(matches)} runs match {text!r}; give the id: {_named(matches)}.")
    if path.is_file():
        return RunEntry("", path.stem, path.stat().st_mtime, path)
    known = f" Known are {_named(entries)}." if entries else f" There are no runs in {home()} yet."
    raise RunNotFound(f"No run has the name, id or path {text!r}.{known}")


def is_alive(pid: int, ticks: int = 0) -> bool:
    """Whether the process is there and is the one that started at ``ticks`` (0: not known)."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    now = start_ticks(pid)
    return not _is_zombie(pid) and (not ticks or not now or ticks == now)


def start_ticks(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0 where that cannot be read."""
    fields = _stat_fields(pid)
    return int(fields[19]) if len(fields) > 19 else 0


def _is_zombie(pid: int) -> bool:
    return _stat_fields(pid)[:1] == [b"Z"]


def _stat_fields(pid: int) -> Sequence[bytes]:
    """``/proc/PID/stat`` from the state on; the name before it may hold spaces and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def _entry_path(run_id: str, rank: int) -> Path:
    return home() / "live" / (f"{run_id}.r{rank}.json" if rank else f"{run_id}.json")


def _entry_of(path: Path) -> RunEntry | None:
    match = _FILE_NAME.fullmatch(path.name)
    if match is None:
        return None
    try:
        started_s = time.mktime(time.strptime(match["started"], "%Y%m%dT%H%M%S"))
    except (ValueError, OverflowError):
        return None
    rank = int(match[4][2:]) if match[4] else 0
    return RunEntry(match["id"], match["name"], started_s, path, rank=rank)


def _with_live(entry: RunEntry, live: LiveRun | None) -> RunEntry:
    if live is None:
        return entry
    return RunEntry(live.run_id, live.name, live.started_s, entry.path, live, live.rank)


def _clean_up(path: Path, entry: LiveRun) -> None:
    """Remove the entry of a recorder that was killed, and the socket files that it left."""
    sockets = {Path(address.removeprefix("ipc://")) for address in (entry.live, entry.ask)}
    sockets |= {socket_.with_suffix(".in") for socket_ in sockets}
    try:
        for file in (*filter(Path.is_socket, sockets), path):
            file.unlink(missing_ok=True)
    except OSError:
        pass  # a home that cannot be written keeps its stale entries; they are passed over each time


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:60] or "run"


def _named(entries: Sequence[RunEntry]) -> str:
    names = [f"{entry.run_id or entry.path} ({entry.name})" for entry in entries[:_MAX_NAMED]]
    more = len(entries) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
