"""Where runs are found: the run files of this machine, and the recorders that serve a run right now."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec
import platformdirs

from monitor.record.freshness import is_fresh, is_written
from probe.wire import Hello

SUFFIX = ".bedside"

#: An entry of elsewhere that was not touched for so long is removed, by anyone: a recorder that is there after all
#: writes it again.
_FORGOTTEN_S = 86_400.0

#: Of a run file: when the run began in local time, its name made plain (:func:`slug`), its id and its rank.
FILE_NAME = re.compile(r"(?P<started>\d{8}T\d{6})-(?P<name>.*)-(?P<id>[0-9a-f]{8})(\.r\d+)?\.bedside")
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
    used again after a while. ``where`` is whose process ids they are (:func:`where`; empty in old entries).
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
    where: str = ""

    @property
    def is_here(self) -> bool:
        """Whether its process ids are those of this machine, outside of any container."""
        return _is_here(self.host, self.where)

    @property
    def is_served(self) -> bool:
        """Whether the recorder is there. Of one elsewhere its entry tells, which it keeps fresh, and its file."""
        if self.is_here:
            return is_alive(self.recorder_pid, self.recorder_ticks)
        entry, path = entry_path(self.run_id, self.rank), self.path
        return is_fresh(entry) or (path is not None and is_written(path, entry.parent))

    @property
    def is_left(self) -> bool:
        """Whether recorder and training process are both gone: with the latter alive, another recorder comes."""
        return not self.is_served and not (self.is_here and is_alive(self.pid, self.pid_ticks))

    @property
    def is_reachable(self) -> bool:
        """Whether somebody listens at its socket: never for another machine's, maybe for a container's."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as knock:
            knock.setblocking(False)
            with contextlib.suppress(BlockingIOError):  # so many wait before us: it is there
                knock.connect(self.ask.removeprefix("ipc://"))
            return True
        return False

    @property
    def is_out_of_reach(self) -> bool:
        """Whether it can neither be watched nor commanded from here but through its file."""
        return not (self.is_here or self.is_reachable)

    @property
    def whereabouts(self) -> tuple[str, str]:
        """Of a run that is out of reach, for a person: where it runs, and what to do about it."""
        if self.host == hostname():
            return "in a container", "watch it in there to give it commands"
        return f"on {self.host}", f"try ssh://{self.host}/{self.run_id}"

    @property
    def path(self) -> Path | None:
        """Its file as it is seen from here: a container may have the same home at another place."""
        path = home() / "runs" / Path(self.file).name
        return (path if path.exists() else Path(self.file)) if self.file else None


class Processes(msgspec.Struct, frozen=True, kw_only=True):
    """The two processes of a run; kept in its file, so that a reader can tell that both are gone."""

    host: str
    pid: int
    recorder_pid: int
    pid_ticks: int = 0
    recorder_ticks: int = 0
    where: str = ""

    @property
    def is_here(self) -> bool:
        """As :attr:`LiveRun.is_here`."""
        return _is_here(self.host, self.where)

    def are_gone(self, file: Path, hello: Hello) -> bool:
        """Whether nobody will write that file of theirs any more.

        Of processes elsewhere the age of the file and of its registry entry tells; outside of a home there is none.
        """
        if self.is_here:
            return not is_alive(self.recorder_pid, self.recorder_ticks) and not is_alive(self.pid, self.pid_ticks)
        folder = file.absolute().parent
        live = folder.parent / "live"
        if folder.name != "runs" or not live.is_dir():
            return False
        return not (is_fresh(live / entry_path(hello.run_id, hello.rank).name) or is_written(file, live))


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


def slug(name: str) -> str:
    """The name as it is in the name of a file."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:60] or "run"


def hostname() -> str:
    """The name of this machine, as the registry and a Hello have it."""
    return socket.gethostname()


@cache
def where() -> str:
    """Whose process ids are known here: of which boot of which machine, in which container. Empty but on Linux.

    A container may have its host's name and home, and other processes under the same ids.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    with contextlib.suppress(OSError):  # the /proc of another container
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return boot


def _is_here(host: str, place: str) -> bool:
    return host == hostname() and place in ("", where())


# ------------------------------------------------------------------------------------------------------- live runs


def register(entry: LiveRun) -> None:
    """Write the entry, whole or not at all. Raises OSError."""
    path = entry_path(entry.run_id, entry.rank)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        temporary.write_bytes(msgspec.json.encode(entry))
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def unregister(run_id: str, rank: int = 0) -> None:
    """Remove the entry. Raises OSError."""
    entry_path(run_id, rank).unlink(missing_ok=True)


def live_runs() -> list[LiveRun]:
    """The runs that are served now, newest first. Entries whose recorder is gone are removed, if it was here."""
    runs = []
    for path in sorted((home() / "live").glob("*.json")):
        entry = read_entry(path)
        if entry is None:
            continue
        if entry.is_served:
            runs.append(entry)
        elif entry.is_here and entry.is_left:
            _clean_up(path, entry)
        elif not entry.is_here and not is_fresh(path, _FORGOTTEN_S):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    return sorted(runs, key=lambda run: (-run.started_s, run.run_id, run.rank))


def read_entry(path: Path) -> LiveRun | None:
    """The registry entry in that file; ``None`` if it was just removed, or is not ours."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=LiveRun)
    except (OSError, msgspec.MsgspecError):
        return None


def run_files() -> list[RunEntry]:
    """The runs that have a file or are served, newest first."""
    served = live_runs()
    live = {path: run for run in served if (path := run.path) is not None}
    entries = []
    for path in (home() / "runs").glob(f"*{SUFFIX}"):
        entry = _entry_of(path)
        if entry is not None:
            entries.append(_with_live(entry, live.pop(path, None)))
    unfiled = [run for run in served if not run.file or run in live.values()]
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
        [entry for entry in entries if text in (entry.name, slug(entry.name)) or entry.name == slug(text)],
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


def entry_path(run_id: str, rank: int) -> Path:
    """Where the registry entry of that run lies."""
    return home() / "live" / (f"{run_id}.r{rank}.json" if rank else f"{run_id}.json")


def _entry_of(path: Path) -> RunEntry | None:
    match = FILE_NAME.fullmatch(path.name)
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


def _named(entries: Sequence[RunEntry]) -> str:
    names = [f"{entry.run_id or entry.path} ({entry.name})" for entry in entries[:_MAX_NAMED]]
    more = len(entries) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
