"""Take the pictures of the docs from the real program on a recorded run.

    python docs/make_screenshots.py                    the newest recorded run of this machine
    python docs/make_screenshots.py RUN.bedside --out docs/images

A picture is what Textual itself exports as SVG, rendered to PNG by a headless chromium: it is the one renderer
found that gets braille, box lines and spaces right. Needs chromium and, for its looks, fonts-firacode and
fonts-dejavu.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from monitor.app.app import MonitorApp
from monitor.app.palette import ThemeName
from monitor.feeds.replay import Replay
from monitor.model import Link
from monitor.record import registry
from monitor.record.runfile import read_run
from monitor.session import Session

LOAD_TIMEOUT_S = 30.0
SCALE = 2


class Shot(NamedTuple):
    """One picture: its file name, size in cells, theme, and the keys that are pressed before it is taken."""

    name: str
    width: int
    height: int
    theme: ThemeName = "night"
    keys: tuple[str, ...] = ()


SHOTS = (
    Shot("screen-120x40", 120, 40),
    Shot("screen-120x40-paper", 120, 40, "paper"),
    Shot("screen-80x24", 80, 24),
    Shot("screen-200x60", 200, 60),
    Shot("alert-120x40", 120, 40, "night", ("2", "enter")),
)


def svg_of_run(path: Path, shot: Shot) -> str:
    """The screen of a run file as SVG, once all of the run is loaded."""
    session = Session(Replay(lambda: read_run(path)), source=path.stem)
    session.start()
    try:
        return asyncio.run(_export(session, shot))
    finally:
        session.close()


async def _export(session: Session, shot: Shot) -> str:
    deadline = time.monotonic() + LOAD_TIMEOUT_S
    while session.latest().link is not Link.FILE:
        if time.monotonic() > deadline:
            raise SystemExit(f"{session.latest().source}: not loaded after {LOAD_TIMEOUT_S:.0f} s")
        await asyncio.sleep(0.02)
    app = MonitorApp(session.latest, theme=shot.theme)
    async with app.run_test(size=(shot.width, shot.height)) as pilot:
        await pilot.pause()
        await pilot.press(*shot.keys)
        await pilot.pause()
        return app.export_screenshot(title="bedside")


def png_of_svg(svg: str, path: Path) -> None:
    """Render an SVG with chromium, at twice its size."""
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
            "--default-background-color=00000000", f"--force-device-scale-factor={SCALE}",
            f"--window-size={width},{height}", f"--screenshot={path.resolve()}", page.as_uri(),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=120)


def take(path: Path, out: Path, shots: Sequence[Shot] = SHOTS) -> list[Path]:
    """Take these pictures of a run file; returns where they are."""
    out.mkdir(parents=True, exist_ok=True)
    pictures = []
    for shot in shots:
        picture = out / f"{shot.name}.png"
        png_of_svg(svg_of_run(path, shot), picture)
        pictures.append(picture)
    return pictures


def _newest_run() -> Path:
    found = next((entry.path for entry in registry.run_files() if entry.path), None)
    if found is None:
        raise SystemExit("no run was recorded on this machine; make one with `bedside demo`, or name a run file")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description="Take the pictures of the docs from the real program.")
    parser.add_argument("run", nargs="?", type=Path, help="a run file (default: the newest of this machine)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images", help="the folder to write into")
    given = parser.parse_args(arguments)
    for picture in take(given.run or _newest_run(), given.out):
        print(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
