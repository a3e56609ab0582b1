"""Take the pictures of the docs from the real program: real trainings, the real recorder, the real screen.

    python docs/make_screenshots.py                    all pictures, from trainings that it starts
    python docs/make_screenshots.py demo-overfit       those whose name begins so (casebook: one of each case)
    python docs/make_screenshots.py --run RUN.bedside  of a run file instead

A picture is what Textual itself exports as SVG, rendered to PNG by a headless chromium: it is the one renderer
found that gets braille, box lines and spaces right. Needs chromium and, for its looks, fonts-firacode and
fonts-dejavu.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from monitor.app.app import MonitorApp
from monitor.app.palette import ThemeName
from monitor.commands.demo import script
from monitor.commands.watching import run_rows
from monitor.definitions import definition
from monitor.feeds.live import LiveFeed
from monitor.feeds.replay import Replay
from monitor.model import Link, Snapshot
from monitor.record import registry
from monitor.record.runfile import read_run
from monitor.session import Session

PICTURES = Path(__file__).parent / "pictures"
CASEBOOK = Path(__file__).parents[1] / "examples" / "casebook"
PATIENCE_S = 300.0
SCALE = 2


Found = TypeVar("Found")


class Shot(NamedTuple):
    """One picture: its file name, size in cells, theme, and the keys that are pressed before it is taken."""

    name: str
    width: int
    height: int
    theme: ThemeName = "night"
    keys: tuple[str, ...] = ()
    scale: int = SCALE


class Scene(NamedTuple):
    """A training to start, when to look at it, and the pictures to take then."""

    options: tuple[str, ...]
    is_time: Callable[[Snapshot], bool]
    shots: tuple[Shot, ...]


def at_step(step: int) -> Callable[[Snapshot], bool]:
    return lambda snapshot: snapshot.step >= step


def after_alert(rule: str, steps: int = 30) -> Callable[[Snapshot], bool]:
    """Some steps after the alert was raised, so that the chart goes on behind its sign."""
    return lambda snapshot: any(
        alert.rule == rule and alert.is_open and snapshot.step >= alert.raised_step + steps
        for alert in snapshot.alerts
    )


SCENES = (
    Scene(
        (),
        at_step(480),
        (
            Shot("demo-120x40", 120, 40),
            Shot("demo-80x24", 80, 24),
            Shot("demo-200x60", 200, 60),
            Shot("demo-paper-120x40", 120, 40, "paper"),
            Shot("demo-help-120x40", 120, 40, keys=("question_mark",)),
            Shot("demo-wall-120x40", 120, 40, keys=("w",)),
            Shot("demo-zoom-120x40", 120, 40, keys=("z", "shift+left", "shift+left")),
            Shot("demo-classes-120x40", 120, 40, keys=("5", "z")),
        ),
    ),
    Scene(
        ("--fault", "lr-too-high"),
        after_alert("divergence"),
        (
            Shot("demo-lr-too-high-120x40", 120, 40),
            Shot("demo-lr-too-high-80x24", 80, 24),
            Shot("demo-lr-too-high-200x60", 200, 60),
            Shot("demo-lr-too-high-moment-120x40", 120, 40, keys=("enter",)),
            Shot("demo-lr-too-high-why-120x40", 120, 40, keys=("enter", "enter")),
        ),
    ),
    Scene(("--fault", "overfit"), after_alert("overfitting"), (Shot("demo-overfit-80x24", 80, 24),)),
    Scene(("--fault", "nan"), after_alert("non-finite"), (Shot("demo-nan-120x40", 120, 40),)),
    Scene(("--fault", "dead-relu"), after_alert("dead-units"), (Shot("demo-dead-relu-120x40", 120, 40),)),
)


def cases() -> Iterator[tuple[Path, Shot]]:
    """The sick scripts of the casebook, with the picture of each."""
    for cured in sorted(CASEBOOK.glob("*_cured.py")):
        case = cured.stem.removesuffix("_cured")
        yield CASEBOOK / f"{case}.py", Shot(f"casebook-{case.replace('_', '-')}", 80, 24, scale=1)


@contextmanager
def training(options: Sequence[str]) -> Iterator[Session]:
    """A demo training that runs, and a session on its recorder."""
    process = subprocess.Popen([sys.executable, str(script()), *options], stdout=subprocess.DEVNULL)
    try:
        run = wait_for(lambda: next((run for run in registry.live_runs() if run.pid == process.pid), None))
        session = Session(LiveFeed(run.live, run.ask), source=run.name, runs=run_rows)
        session.start()
        try:
            yield session
        finally:
            session.close()
        if not options:
            process.wait()  # the healthy one is seen to finish, in the list of runs of the others
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], Found | None]) -> Found:
    """The first true value of the condition."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise SystemExit(f"waited {PATIENCE_S:.0f} s for a picture in vain")


@contextmanager
def trained(case: Path) -> Iterator[Session]:
    """A script that runs to its end, and a session on what it has left behind."""
    before = {entry.path for entry in registry.run_files()}
    subprocess.run([sys.executable, str(case)], check=True, capture_output=True)
    wait_for(lambda: not registry.live_runs())
    (path,) = {entry.path for entry in registry.run_files()} - before
    with recorded(path) as session:
        yield session


@contextmanager
def recorded(path: Path) -> Iterator[Session]:
    """A session on a run file, wholly read."""
    session = Session(Replay(lambda: read_run(path)), source=path.stem)
    session.start()
    try:
        wait_for(lambda: session.latest().link is Link.FILE)
        yield session
    finally:
        session.close()


async def export(session: Session, shot: Shot) -> str:
    """The screen as SVG."""
    app = MonitorApp(session.latest, theme=shot.theme, explain=definition)
    async with app.run_test(size=(shot.width, shot.height)) as pilot:
        await pilot.pause()
        await pilot.press(*shot.keys)
        await pilot.pause()
        return app.export_screenshot(title="bedside")


def png_of_svg(svg: str, path: Path, scale: int) -> None:
    """Render an SVG with chromium, at so many times its size."""
    chromium = next(
        (found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None
    )
    if chromium is None:
        raise SystemExit("chromium was not found on the PATH; install it (apt-get install chromium) and try again")
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert box is not None, "Textual's SVG has a viewBox"
    width, height = (int(float(side)) + 1 for side in box.groups())
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        # Without the meta element chromium takes a large page for Latin-1.
        page.write_text(f'<meta charset="utf-8"><style>body{{margin:0}}</style>{svg}', encoding="utf-8")
        command = [
            chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--default-background-color=00000000", f"--force-device-scale-factor={scale}",
            f"--window-size={width},{height}", f"--screenshot={path.resolve()}", page.as_uri(),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=120)


def take(session: Session, shots: Sequence[Shot], out: Path) -> None:
    """Take these pictures of what the session shows."""
    out.mkdir(parents=True, exist_ok=True)
    drawn = [(shot, asyncio.run(export(session, shot))) for shot in shots]  # at one moment; rendering takes its time
    for shot, svg in drawn:
        png_of_svg(svg, out / f"{shot.name}.png", shot.scale)
        print(out / f"{shot.name}.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description="Take the pictures of the docs from the real program.")
    parser.add_argument("prefix", nargs="?", default="", help="only the pictures whose name begins so")
    parser.add_argument("--run", type=Path, metavar="FILE", help="of this run file, instead of new trainings")
    parser.add_argument("--out", type=Path, default=PICTURES, metavar="DIR", help="the folder to write into")
    given = parser.parse_args(arguments)
    if given.run:
        with recorded(given.run) as session:
            take(session, [shot for shot in SCENES[0].shots if shot.name.startswith(given.prefix)], given.out)
        return 0
    with tempfile.TemporaryDirectory() as home:
        os.environ["BEDSIDE_HOME"] = home
        for scene in SCENES:
            shots = [shot for shot in scene.shots if shot.name.startswith(given.prefix)]
            if shots:
                with training(scene.options) as session:
                    wait_for(lambda scene=scene, session=session: scene.is_time(session.latest()))
                    take(session, shots, given.out)
        wait_for(lambda: not registry.live_runs())
        for script_of_case, shot in cases():
            if shot.name.startswith(given.prefix):
                with trained(script_of_case) as session:
                    take(session, [shot], given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
