"""Running the real program without a terminal, and reading what it shows."""

from __future__ import annotations

from contextlib import asynccontextmanager

import screen_snapshots as snapshots

from monitor.app.app import MonitorApp


class Bedside:
    """A running screen: the app, Textual's pilot, and what ``latest`` returns next."""

    def __init__(self, snapshot, **options):
        self.snapshot = snapshot
        self.now_s = snapshots.NOW_S
        # Once in a thousand seconds: the tests call tick() themselves, so that nothing depends on the time.
        options = {"fps": 0.001, "theme": "night", **options}
        self.app = MonitorApp(lambda: self.snapshot, clock=lambda: self.now_s, wall=lambda: snapshots.WALL, **options)
        self.pilot = None

    async def press(self, *keys):
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def tick(self, snapshot=None):
        self.snapshot = snapshot or self.snapshot
        self.app.tick()
        await self.pilot.pause()

    @property
    def strips(self):
        return self.app.screen._compositor.render_strips()

    @property
    def lines(self):
        return ["".join(segment.text for segment in strip).rstrip() for strip in self.strips]

    @property
    def text(self):
        return "\n".join(self.lines) + "\n"

    def panel(self, name):
        return self.app._stage.panels[name]

    def style_at(self, x, y):
        """The style of one cell."""
        at = 0
        for segment in self.strips[y]:
            at += segment.cell_length
            if at > x:
                return segment.style
        raise AssertionError(f"no cell {x} in line {y}")

    def style_of(self, text):
        """The style of the first cell of a text that is on the screen."""
        for y, line in enumerate(self.lines):
            if text in line:
                return self.style_at(line.index(text), y)
        raise AssertionError(f"{text!r} is not on the screen:\n{self.text}")


@asynccontextmanager
async def shown(snapshot, size=(120, 40), **options):
    bedside = Bedside(snapshot, **options)
    async with bedside.app.run_test(size=size) as pilot:
        bedside.pilot = pilot
        await pilot.pause()
        yield bedside
