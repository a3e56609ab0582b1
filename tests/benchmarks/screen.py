"""What the screen costs, in a real terminal whose bytes are counted: live, idle, over; opening a long run; keys; a
line that hangs. A real sender, a real recorder, the real program."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import leet
import numpy as np
from figures import say, table, verdict
from pseudo_terminal import PseudoTerminal

_HERE = Path(__file__).parent
_IMPORTS = "import monitor.app.app; from monitor.commands import doing, settings, shelf, visits, watching"
_SIZE = (120, 40)


def report(*, quick: bool, peers: bool) -> str:
    seconds = 8.0 if quick else 20.0
    imports_s = _imports_s(3 if quick else 9)
    rows = [*_live(seconds), *_steps(20 if quick else 90), *_keys(40 if quick else 100), *_stalled()]
    rows += _opened(imports_s, quick)
    if peers:
        rows += leet.rows(seconds, 12 if quick else 60)
    return table(("at 120x40, truecolor", "measured", "bar", ""), rows)


def _row(what: str, measured: float, bar: float, unit: str, digits: int = 1) -> list[str]:
    row = [what, f"{measured:,.{digits}f} {unit}", f"{bar:,.{digits}f} {unit}", verdict(measured, bar)]
    say(" | ".join(row))
    return row


# ---------------------------------------------------------------------------------------------- live, idle and over


def _live(seconds: float) -> Iterator[list[str]]:
    """Everything changes; then nothing comes but heartbeats; then the run is over."""
    say("screen: live, idle, over")
    times = {"per_s": 50, "seconds": seconds + 12, "pause_s": seconds + 8}
    with _feed("feed0001", **times) as feed, _watch("feed0001") as terminal:
        terminal.shows("grad norm")
        time.sleep(3)
        sent, cpu = terminal.rates(seconds)
        yield _row("everything changes, 4 frames a second: CPU", cpu, 5, "% of a core")
        yield _row("everything changes, 4 frames a second: bytes", sent / 1024, 12, "KiB/s")
        time.sleep(10)
        sent, cpu = terminal.rates(seconds / 2)
        yield _row("nothing new but the age of the data: bytes", sent, 200, "B/s", 0)
        feed.wait()
        terminal.shows("DONE")
        time.sleep(2)
        sent, cpu = terminal.rates(5)
        yield _row("the run is over: bytes", sent, 0, "B/s", 0)


@contextmanager
def _feed(run_id: str, *, per_s: float, seconds: float, pause_s: float) -> Iterator[subprocess.Popen[bytes]]:
    words = [run_id, str(per_s), str(seconds), str(pause_s)]
    feed = subprocess.Popen([sys.executable, str(_HERE / "screen_feed.py"), *words], env=_env())
    try:
        yield feed
    finally:
        feed.kill()
        feed.wait()


@contextmanager
def _watch(run: str) -> Iterator[PseudoTerminal]:
    """The screen of a run, opened as soon as there is such a run."""
    home = Path(os.environ["BEDSIDE_HOME"])
    deadline = time.monotonic() + 30
    while not list(home.glob(f"live/{run}*.json")) and not list(home.glob(f"runs/*{run}.bedside")):
        if time.monotonic() > deadline:
            raise SystemExit(f"the run {run} did not come to be")
        time.sleep(0.05)
    terminal = PseudoTerminal([sys.executable, "-m", "monitor", "watch", run], *_SIZE, env=_env())
    try:
        yield terminal
    finally:
        terminal.close()


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(_HERE.parents[1]), "LANG": "C.UTF-8"}


# -------------------------------------------------------------------------------- steps, keys, and a line that hangs


def _steps(count: int) -> Iterator[list[str]]:
    """From the end of a step in the training process to the first frame that is as new as it."""
    say("screen: steps")
    waits_s = []
    feed = subprocess.Popen(
        [sys.executable, str(_HERE / "step_feed.py"), "feed0004"], env=_env(), stdout=subprocess.PIPE, text=True
    )
    try:
        with _watch("feed0004") as terminal:
            live_s = terminal.shows("vitals") + 2
            assert feed.stdout is not None
            for line in feed.stdout:
                step, put_s = int(line.split()[0]), float(line.split()[1])
                if put_s < live_s:
                    continue
                # The title says how far it is, in percent of a hundred steps; two steps may come in one frame.
                seen_s = terminal.shows(rf"steps ({step}|{step + 1})%\x07(?s:.*?)2026l", 10)
                waits_s.append(seen_s - put_s)
                if len(waits_s) == count:
                    break
    finally:
        feed.kill()
        feed.wait()
    yield _row("2 steps/s: step to screen, 95th percentile", float(np.percentile(waits_s, 95)), 0.5, "s", 2)


def _keys(presses: int) -> Iterator[list[str]]:
    """From a key to its answer on the screen, at 10,000 steps a second."""
    say("screen: keys")
    waits_ms = []
    with _feed("feed0002", per_s=10_000, seconds=60 + presses, pause_s=0), _watch("feed0002") as terminal:
        terminal.shows("grad norm")
        time.sleep(3)
        for number in range(presses):
            terminal.forget()
            begun = time.monotonic()
            terminal.press("l")
            waits_ms.append(1e3 * (terminal.shows("inear" if number % 2 == 0 else "og ema", 10) - begun))
            time.sleep(0.19)  # only the letters that differ are sent, so not the first one of either word
    yield _row("10,000 steps/s: key to screen, 95th percentile", float(np.percentile(waits_ms, 95)), 60, "ms")


def _stalled() -> Iterator[list[str]]:
    """Nothing is read for 10 s, as when ssh hangs: how much memory that takes, and that it goes on."""
    say("screen: a terminal that hangs")
    with _feed("feed0003", per_s=1000, seconds=40, pause_s=30) as feed, _watch("feed0003") as terminal:
        terminal.shows("grad norm")
        time.sleep(3)
        before = terminal.peak_mib
        terminal.reads.clear()
        time.sleep(10)
        terminal.reads.set()
        time.sleep(1)
        terminal.forget()
        grown = terminal.peak_mib - before
        terminal.press("?")
        terminal.shows("any key closes", 5)
        terminal.press("q")
        feed.terminate()
        terminal.shows("VANISHED|FAILED|SIGTERM", 30)
    yield _row("a terminal that hangs for 10 s at 1,000 steps/s: memory grows by", grown, 40, "MiB")


# ------------------------------------------------------------------------------------------------ opening a long run


def _opened(imports_s: float, quick: bool) -> Iterator[list[str]]:
    for steps, bar_s, bar_mib in ((100_000, 0.5, 100), (1_000_000, 0.9, 250)):
        say(f"screen: open {steps:,} steps")
        _write(f"{steps // 100_000:08x}", steps)
        found = [_open(f"{steps // 100_000:08x}", steps) for _ in range(2 if quick else 5)]
        first, all_steps, peak = (statistics.median(column) for column in zip(*found, strict=True))
        name = f"{steps:,} steps x 10 series"
        yield _row(
            f"{name}: all on the screen, after the imports ({imports_s:.2f} s)", all_steps - imports_s, bar_s, "s", 2
        )
        yield [f"{name}: first paint, from the start", f"{first:.2f} s", "", ""]
        yield _row(f"{name}: memory", peak, bar_mib, "MiB", 0)


def _open(run: str, steps: int) -> tuple[float, float, float]:
    """From the start of the process: to the first paint, to all steps on the screen; and the memory by then."""
    with _watch(run) as terminal:
        first = terminal.shows("vitals") - terminal.started_s
        # The window's title tells the newest step in one piece; the screen itself is sent in the cells that differ.
        whole = (
            terminal.shows(f"]2;✓ long {'100k' if steps < 1e6 else '1.00M'}\x07(?s:.*?)2026l") - terminal.started_s
        )
        time.sleep(1)
        return first, whole, terminal.peak_mib


def _imports_s(rounds: int) -> float:
    """What the interpreter and the imports of the screen take, by themselves."""
    found = []
    for _ in range(rounds):
        begun = time.monotonic()
        subprocess.run([sys.executable, "-c", _IMPORTS], check=True, env=_env())
        found.append(time.monotonic() - begun)
    return statistics.median(found)


def _write(run_id: str, steps: int) -> None:
    """A finished run file as a recorder leaves it: pages of 256 steps."""
    from monitor.record.runfile import Changes, RunFile
    from probe import wire

    keys = [
        "train/loss",
        "val/loss",
        "grad/norm",
        "lr/0",
        "rate/samples_per_s",
        "time/step_s",
        *(f"user/{i}" for i in range(4)),
    ]
    noise = np.random.default_rng(0)
    path = Path(os.environ["BEDSIDE_HOME"]) / "runs" / f"20261121T000000-long-{run_id}.bedside"
    file = RunFile.create(path)
    hello = wire.Hello(schema=wire.SCHEMA_VERSION, run_id=run_id, name="long", started_s=1e9, model="long")
    goodbye = wire.Goodbye(time_s=1e9 + steps, reason="finished", step=steps, exit_code=0)
    file.write(Changes(meta={"hello": wire.encode(hello), "goodbye": wire.encode(goodbye)}))
    for seq, first in enumerate(range(1, steps + 1, 256), 1):
        rows = min(256, steps + 1 - first)
        level = np.exp(-np.arange(first, first + rows) / steps)
        columns = {key: wire.Column((level * np.exp(0.1 * noise.standard_normal(rows))).tobytes()) for key in keys}
        times = (1e9 + np.arange(first, first + rows, dtype=np.float64)).tobytes()
        batch = wire.Batch(seq=seq, start=first, rows=rows, times_s=times, scalars=columns)
        file.write(Changes(batches=[(batch, wire.encode(batch))]))
    file.close()
