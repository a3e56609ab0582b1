"""From what a person typed to a run on the screen, or in lines."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from monitor.feeds import Feed
from monitor.feeds.continued import ContinuedFeed
from monitor.feeds.followed import FollowedFile
from monitor.feeds.live import LiveFeed
from monitor.feeds.newest import NewestFeed
from monitor.feeds.recorded import RecordedFeed
from monitor.feeds.replay import Replay
from monitor.model import Link, RunRow, RunState, Snapshot
from monitor.record import registry
from monitor.record.runfile import RunFileError, open_file, read_run
from monitor.record.story import before
from monitor.record.summary import Summary, summary
from monitor.remote import RemoteError
from monitor.remote.reach import SCHEMES, Reached, reach
from monitor.session import Session, state_at_end
from monitor.tail import Tail, ending, printable
from probe.wire import Notice

if TYPE_CHECKING:
    from monitor.commands.settings import Settings

SICK, USAGE = 1, 2
#: Rows of the list of runs.
RUNS = 12
NO_RUN = "no run is live and none was recorded; start a training with the probe, or `bedside demo`"


class Target(NamedTuple):
    """A run that was found: what it is called, and where its messages come from; ``far`` if on another machine."""

    name: str
    feed: Feed
    far: Reached | None = None


class TargetError(Exception):
    """What was typed names no run that can be shown; the message is one line for a person."""


def resolve(text: str | None) -> Target:
    """The run that is meant; without a text the newest of this machine, also one that is yet to begin."""
    if text is None:
        return newest()
    try:
        return _named(text)
    except OSError as error:
        raise TargetError(f"{text[:80]!r} cannot be looked up: {error.strerror}") from error


def _named(text: str) -> Target:
    if text.startswith(SCHEMES):
        try:
            far = reach(text)
        except RemoteError as error:
            raise TargetError(str(error)) from error
        return Target(far.name, far.feed, far)
    try:
        entry = registry.find(text)
    except registry.RunNotFound as error:
        if not Path(text).is_dir():
            raise TargetError(str(error)) from error
        entry = registry.find(str(_only_run_in(Path(text)).absolute()))
    except registry.RunError as error:
        raise TargetError(str(error)) from error
    return Target(entry.name, feed_of(entry))


def _only_run_in(folder: Path) -> Path:
    """The run file of a folder that holds one. Raises TargetError."""
    files = sorted(folder.glob(f"*{registry.SUFFIX}"))
    if len(files) == 1:
        return files[0]
    held = f"holds {len(files)} run files; name one of them" if files else "is a folder without a run file"
    raise TargetError(f"{folder} {held} ('bedside runs' lists the runs of this machine)")


def newest() -> Target:
    """The newest live run; with none, the newest that is over, until a live one begins."""
    live = _live()
    if live:
        return Target(live[0].name, live_feed(live[0]))
    for entry in registry.runs():
        try:
            return Target(entry.name, NewestFeed(_newest_live, feed_of(entry)))
        except TargetError:  # noqa: PERF203  damaged, or just being made: the one before it, then
            continue
    return to_come()


def to_come() -> Target:
    """The next live run, whatever was recorded before."""
    return Target("", NewestFeed(_newest_live))


def _live() -> list[registry.LiveRun]:
    """The live runs that can be shown here, newest first; of a job with several ranks rank 0."""
    return [run for run in registry.live_runs() if run.rank == 0 and (run.file or not run.is_out_of_reach)]


def _newest_live() -> Feed | None:
    live = _live()
    return live_feed(live[0]) if live else None


def feed_of(entry: registry.RunEntry) -> Feed:
    """A live run through its recorder, any other from its file. Raises TargetError for a file that is none."""
    if entry.live is not None:
        return live_feed(entry.live)
    path = entry.path
    assert path is not None
    try:
        open_file(path).close()
    except RunFileError as error:
        raise TargetError(str(error)) from error
    return ContinuedFeed(Replay(lambda: read_run(path)), before)


def live_feed(run: registry.LiveRun) -> Feed:
    """The run from its recorder, and the rest of it from its file should both its processes be gone.

    From its file alone if the recorder is on another machine, or in a container that shares no more than that.
    """
    if run.is_out_of_reach:
        return _followed(run)

    def where() -> tuple[str, str] | None:
        now = registry.read_entry(registry.entry_path(run.run_id, run.rank))
        return None if now is None else (now.live, now.ask)

    def rest(after_seq: int) -> Feed | None:
        path = run.path
        if path is None or not run.is_left:
            return None
        return Replay(lambda: read_run(path, after_seq))

    return ContinuedFeed(RecordedFeed(LiveFeed(run.live, run.ask), rest, where), before)


def _followed(run: registry.LiveRun) -> Feed:
    """Raises TargetError if it is in memory only."""
    path = run.path
    place, hint = run.whereabouts
    if path is None:
        raise TargetError(f"{run.name} runs {place}, in memory only: {hint}")
    said = Notice(text=f"{run.name} runs {place}, and is read from its file here; {hint}.", time_s=run.started_s)
    return ContinuedFeed(FollowedFile(lambda after_seq: read_run(path, after_seq), said), before)


# ------------------------------------------------------------------------------------------------------ the commands


def watch(text: str | None, *, fps: float | None = None, ascii_only: bool = False, read_only: bool = False) -> int:
    """The live screen; lines where standard output is no terminal. Returns the exit status."""
    if "TEXTUAL_DRIVER" in os.environ:  # in a browser
        from monitor.commands.serving import end_with_server

        end_with_server()
    elif not sys.stdout.isatty():
        return tail(text, command="watch" if text else "")
    from monitor.commands.settings import FILE, SettingsError, read

    try:
        settings = read(registry.home() / FILE)
        target = _chosen() if text is None else resolve(text)
    except (TargetError, SettingsError) as error:
        return _refuse("watch", error)
    settings = replace(settings, fps=fps or settings.fps, ascii=ascii_only or settings.ascii)
    far = target.far
    session = Session(target.feed, source=target.name, runs=far_rows(far) if far else run_rows)
    session.start()
    try:
        status = _show(session, far, settings, read_only=read_only)
    finally:
        session.close()
    print(parting(session.latest(), text if far else None))
    return status


def _show(session: Session, far: Reached | None, settings: Settings, *, read_only: bool) -> int:
    """The screen, until the person leaves it; the run is read while it is imported. Returns the exit status."""
    from monitor.app.app import MonitorApp
    from monitor.commands.doing import act
    from monitor.commands.shelf import Shelf
    from monitor.commands.visits import Visits
    from monitor.definitions import definition

    shelf = Shelf(lambda run_id: None if far else _other(run_id))
    visits = Visits(registry.home() / "screen")
    hand = far.act if far else act
    app = MonitorApp(
        session.latest,
        act=None if read_only else hand,
        fps=settings.fps,
        ascii=settings.ascii,
        theme=settings.theme,
        keys=settings.keys,
        signals=settings.signals,
        explain=definition,
        open_run=shelf.open,
        recall=visits.recall,
        remember=visits.remember,
    )
    session.on_loaded = app.hurry
    try:
        app.run()
    finally:
        shelf.close()
    return app.return_code or 0


def _other(run_id: str) -> Feed | None:
    """Another run of this machine, to be laid under the one on the screen."""
    try:
        return feed_of(registry.find(run_id))
    except (registry.RunError, TargetError):
        return None


def report(text: str | None, *, width: int | None = None) -> int:
    """How the run stands, printed once it is read. Returns the exit status."""
    try:
        target = resolve(text)
    except TargetError as error:
        return _refuse("report", error)
    if not target.name:
        return _refuse("report", TargetError(NO_RUN))
    from monitor.app.visit import is_complete
    from monitor.commands.report import report as written

    session = Session(target.feed, source=target.name)
    session.start()
    try:
        while not is_complete(session.latest()) and session.latest().link is not Link.LOST and session.error is None:
            time.sleep(0.02)
    finally:
        session.close()
    if session.error is not None:
        return _refuse("report", session.error)
    if session.latest().hello is None:
        return _refuse("report", TargetError(f"the recorder of {target.name} does not answer"))
    is_terminal = sys.stdout.isatty()
    cells = width or min(shutil.get_terminal_size((80, 24)).columns, 100)
    print(written(session.latest(), max(cells, 40), colors=is_terminal and "NO_COLOR" not in os.environ))
    return 0


def tail(text: str | None, *, until_alert: bool = False, command: str = "tail") -> int:
    """A line an event, until the run is over. Status 1 if an alarm ended it that was waited for.

    ``command`` is what the person typed, for what is said when it names no run.
    """
    try:
        awaited = text is None and until_alert and not _live()
        target = to_come() if awaited else resolve(text)
        if text is None and not target.name and not awaited:
            raise TargetError(NO_RUN)
    except TargetError as error:
        return _refuse(command, error)
    lines = Tail()
    feed = target.feed
    try:
        for line in lines.lines(feed):
            print(line, flush=True)
            if (until_alert and lines.is_sick) or lines.is_over:
                break
    except RunFileError as error:
        return _refuse(command, error)
    return SICK if until_alert and lines.is_sick else 0


def run_of_process(pid: int) -> str | None:
    """The id of the live run of a training process."""
    return next((run.run_id for run in registry.live_runs() if run.is_here and run.pid == pid), None)


def run_rows() -> tuple[RunRow, ...]:
    """The newest runs of this machine for the list on the screen."""
    entries = registry.runs()[:RUNS]
    return tuple(_row(entry, summary(entry.path) if entry.path else Summary()) for entry in entries)


def far_rows(far: Reached) -> Callable[[], tuple[RunRow, ...]]:
    """The runs of another machine as they were when it was asked."""
    rows = tuple(_row(listed.entry, listed.stands) for listed in far.runs)
    return lambda: rows


def _row(entry: registry.RunEntry, stands: Summary) -> RunRow:
    if stands.goodbye is not None:
        state = state_at_end(stands.goodbye)
    else:
        state = RunState.TRAINING if entry.live else RunState.VANISHED
    return RunRow(
        run_id=entry.run_id,
        name=entry.name,
        state=state,
        step=stands.step,
        loss=stands.loss,
        started_s=entry.started_s,
        alarms=stands.alarms,
        worst=stands.worst,
    )


def parting(snapshot: Snapshot, far: str | None = None) -> str:
    """What stays on the terminal when the screen is left; ``far`` is what was typed for another machine's run."""
    hello, goodbye = snapshot.hello, snapshot.goodbye
    if hello is None:
        return "monitor closed; no run was seen"
    name = shlex.quote(printable(far or (hello.run_id if _is_ambiguous(hello.name) else hello.name)))
    if goodbye is not None:
        return f"monitor closed; {name}: {printable(ending(goodbye)[1])} (bedside watch {name} shows it again)"
    return f"monitor closed; the training goes on (bedside watch {name} to come back)"


def _is_ambiguous(name: str) -> bool:
    try:
        registry.find(name)
    except registry.AmbiguousRun:
        return True
    except registry.RunNotFound:
        pass  # a log that is no run of this machine
    return False


def _chosen() -> Target:
    """The newest run, or the one that the person picks where several are live."""
    live = _live()
    if len(live) < 2 or not sys.stdin.isatty():
        return newest()
    for number, run in enumerate(live, 1):
        print(f"{number:3}  {run.name:30.30}  {run.run_id}  pid {run.pid}")
    try:
        answer = input(f"{len(live)} runs are live; which one [1]? ").strip() or "1"
    except EOFError:
        raise KeyboardInterrupt from None  # Ctrl-D: none of them
    if not answer.isdecimal() or not 1 <= int(answer) <= len(live):
        raise TargetError(f"{answer!r} is none of 1 to {len(live)}")
    run = live[int(answer) - 1]
    return Target(run.name, live_feed(run))


def _refuse(command: str, error: Exception) -> int:
    print(f"{' '.join(('bedside', command)).strip()}: {error}", file=sys.stderr)
    return USAGE
