"""The panels and where they stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from textual.geometry import Size

from monitor.app import layout
from monitor.app.panel import ListPanel, Panel
from monitor.app.panels import EDGES, PANELS, banner
from monitor.app.scene import Scene


class Stage:
    """Every panel once, each with a place on the screen or out of sight."""

    def __init__(self) -> None:
        self.panels: dict[str, Panel] = {
            name: kind(id=name, classes="stage") for name, kind in {**EDGES, **PANELS}.items()
        }
        self.places: layout.Places = {}
        self.size = Size(0, 0)

    def arrange(self, size: Size, scene: Scene) -> None:
        """Give every panel its place for this size; only those that move are touched."""
        self.size = size
        view = scene.view

        def places(lines: int) -> layout.Places:
            return layout.place(
                size.width, size.height, focus=view.focus, zoomed=view.zoomed, wall=view.wall, banner=lines
            )

        wanted = places(0)
        scene = replace(scene, has_alerts="alerts" in wanted)
        said = banner.lines(scene, size.width, banner.most_lines(scene, size.height))
        if said:
            wanted = places(len(said))
        for name, panel in self.panels.items():
            if wanted.get(name) != self.places.get(name):
                panel.place(wanted.get(name))
        self.places = wanted

    def show(self, scene: Scene, names: Iterable[str], *, at_once: bool) -> None:
        """Let those of the panels that are in sight draw the scene."""
        for name in names:
            if name in self.places:
                self.panels[name].show(scene, at_once=at_once)

    def late(self) -> list[str]:
        """The panels that have yet to draw what they were shown."""
        return [name for name in self.places if self.panels[name].is_late]

    def in_sight(self) -> list[str]:
        """The panels that can have the focus and are shown, in the order of tab."""
        return [name for name in PANELS if name in self.places]

    def lists(self) -> Iterator[ListPanel]:
        return (panel for panel in self.panels.values() if isinstance(panel, ListPanel))
