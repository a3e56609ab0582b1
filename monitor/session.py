"""The thread between a feed and a screen: messages in, snapshots out when they are asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from monitor.feeds import Ahead, Event, Feed, LinkChanged, close
from monitor.history import History
from monitor.model import EMPTY, Link, Phase, RunRow, RunState, SeriesView, Snapshot
from monitor.preview import Preview
from probe.wire import Goodbye, Overview

#: A run counts as stalled after this many of its own steps' time, and at least so many seconds, without a step.
STALL_STEPS, STALL_S = 20, 60.0
#: Steps whose median is the usual step time.
USUAL_STEPS = 100
RUNS_EVERY_S = 2.0
#: The links behind which all of the history has come.
LOADED = (Link.LIVE, Link.FILE)

STATES: Mapping[Phase, RunState] = {
    Phase.STARTING: RunState.WAITING,
    Phase.TRAINING: RunState.TRAINING,
    Phase.EVALUATING: RunState.EVALUATING,
    Phase.CHECKPOINTING: RunState.CHECKPOINTING,
    Phase.PAUSED: RunState.PAUSED,
}


class Session:
    """Reads a feed in a thread of its own into a history; ``latest()`` may be called from any other.

    ``runs`` gives the list of runs beside this one; it is asked every two seconds, in the thread.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        source: str = "",
        runs: Callable[[], tuple[RunRow, ...]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._feed, self._source, self._runs, self._clock = feed, source, runs, clock
        self._lock = threading.Lock()
        self._history = History()
        self._preview: Preview | None = None
        self._link, self._loaded = Link.CONNECTING, 0.0
        self._heard_s = clock()
        self._version = 0
        self._rows: tuple[RunRow, ...] = ()
        self._rows_s = -RUNS_EVERY_S
        self._latest = EMPTY
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bedside-session", daemon=True)
        self.error: Exception | None = None
        #: Called from the thread each time that all of the history has come.
        self.on_loaded: Callable[[], None] = lambda: None

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop reading, and wait for the thread, briefly."""
        self._closed.set()
        close(self._feed)
        if self._thread.is_alive():
            self._thread.join(2.0)

    def latest(self) -> Snapshot:
        """The run as it is now. The same object while nothing is heard; the same version while nothing changes."""
        with self._lock:
            state = self._state()
            if self._latest.version != self._version or self._latest.state is not state:
                self._version += self._latest.version == self._version
                self._latest = self._build(state)
            elif self._latest.heard_s != self._heard_s:
                self._latest = replace(self._latest, heard_s=self._heard_s)
            return self._latest

    def _run(self) -> None:
        try:
            for event in self._feed:
                with self._lock:
                    self._take(event)
                if isinstance(event, LinkChanged) and event.link in LOADED:
                    self.on_loaded()
                self._look_at_runs()
                if self._closed.is_set():
                    return
        except Exception as error:  # noqa: BLE001  the screen says what the feed could not read
            with self._lock:
                self.error = error
                self._history.notices[f"This run can be read no further: {error}"] = None
                self._link, self._version = Link.LOST, self._version + 1
        while self._runs is not None and not self._closed.wait(RUNS_EVERY_S):
            self._look_at_runs()

    def _take(self, event: Event) -> None:
        if isinstance(event, LinkChanged):
            is_new = (self._link, self._loaded) != (event.link, event.loaded)
            self._link, self._loaded = event.link, event.loaded
            if event.link in LOADED:
                self._preview = None
        elif isinstance(event, Overview):
            self._preview = self._preview or Preview()
            self._preview.begin(event)
            is_new = True
        elif isinstance(event, Ahead):
            if is_new := self._preview is not None:
                self._preview.go_on(event.batch)
        else:
            is_new = self._history.apply(event)
            self._heard_s = self._clock()
        self._version += is_new

    def _look_at_runs(self) -> None:
        now = self._clock()
        if self._runs is None or now - self._rows_s < RUNS_EVERY_S:
            return
        try:
            rows = self._runs()
        except Exception:  # noqa: BLE001  another run's file may be damaged in any way; this run is shown on
            rows = self._rows
        self._rows_s = now
        with self._lock:
            if rows != self._rows:
                self._rows, self._version = rows, self._version + 1

    def _build(self, state: RunState) -> Snapshot:
        history = self._history
        preview = self._preview
        series: Mapping[str, SeriesView] = history.series() if preview is None else preview.series()
        beat, hello = history.heartbeat, history.hello
        ended_s = history.goodbye.time_s if history.goodbye else history.last_time_s
        epoch = history.facts.get("epoch")
        return Snapshot(
            version=self._version,
            source=self._source,
            hello=hello,
            state=state,
            link=self._link,
            loaded=self._loaded,
            heard_s=self._heard_s,
            step=history.step if preview is None else max(history.step, preview.step),
            epoch=float(epoch) if isinstance(epoch, (int, float)) else None,
            elapsed_s=max(ended_s - hello.started_s, 0.0) if hello and ended_s else 0.0,
            step_s=self._usual_step_s(),
            last_time_s=history.last_time_s,
            goodbye=history.goodbye,
            series=series,
            clock=history.clock(),
            epochs=tuple(history.epochs),
            layers=history.layers(),
            train_classes=history.classes("train"),
            val_classes=history.classes("val"),
            alerts=history.alerts(),
            marks=tuple(history.marks),
            gaps=tuple(history.gaps),
            facts=dict(history.facts),
            notices=history.said(),
            cost_us=beat.cost_us if beat else 0.0,
            cost_share=beat.cost_share if beat else 0.0,
            dropped=beat.dropped if beat else 0,
            runs=tuple(replace(row, current=hello is not None and row.run_id == hello.run_id) for row in self._rows),
        )

    def _state(self) -> RunState:
        history = self._history
        if history.goodbye is not None:
            return state_at_end(history.goodbye)
        if history.hello is None:
            return RunState.WAITING
        phase = history.heartbeat.phase if history.heartbeat else Phase.TRAINING
        state = STATES[phase] if history.step or phase is not Phase.TRAINING else RunState.WAITING
        if state is RunState.WAITING and history.step:
            state = RunState.TRAINING
        return RunState.STALLED if state is RunState.TRAINING and self._is_stalled() else state

    def _is_stalled(self) -> bool:
        """By the clock of the training's host alone: its newest sign of life against its newest progress.

        Nothing is known of a run behind a broken line, and a file has no news.
        """
        beat = self._history.heartbeat
        if self._link is not Link.LIVE or beat is None:
            return False
        patience_s = max(STALL_S, STALL_STEPS * (self._usual_step_s() or 0.0))
        return beat.time_s - self._history.busy_s > patience_s

    def _usual_step_s(self) -> float | None:
        times = self._history.view("time/step_s")
        return float(np.median(times.tail(USUAL_STEPS)[1])) if times is not None and len(times) else None


def state_at_end(goodbye: Goodbye) -> RunState:
    """The state that a run ended in."""
    if goodbye.reason in ("finished", "detached"):
        return RunState.FINISHED
    return RunState.VANISHED if goodbye.reason == "vanished" else RunState.FAILED
