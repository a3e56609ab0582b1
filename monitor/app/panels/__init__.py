"""The parts of the screen, one file each; ``PANELS`` is their list, in the order that tab goes through them."""

from __future__ import annotations

from typing import Final

from monitor.app.panel import Panel
from monitor.app.panels.alerts import AlertsPanel
from monitor.app.panels.banner import BannerPanel
from monitor.app.panels.classes import ClassesPanel
from monitor.app.panels.events import EventsPanel
from monitor.app.panels.header import HeaderPanel
from monitor.app.panels.heat import HeatPanel
from monitor.app.panels.keys import KeysPanel
from monitor.app.panels.layers import LayersPanel
from monitor.app.panels.loss import LossPanel
from monitor.app.panels.minis import GradPanel, LrPanel, RatePanel
from monitor.app.panels.runs import RunsPanel
from monitor.app.panels.small import SmallPanel
from monitor.app.panels.vitals import VitalsPanel
from monitor.app.panels.wall import WallPanel

#: The panels that can have the focus, by the name that the layout uses; their keys are in the keymap.
PANELS: Final[dict[str, type[Panel]]] = {
    "loss": LossPanel,
    "alerts": AlertsPanel,
    "vitals": VitalsPanel,
    "layers": LayersPanel,
    "classes": ClassesPanel,
    "runs": RunsPanel,
    "grad": GradPanel,
    "lr": LrPanel,
    "rate": RatePanel,
    "heat": HeatPanel,
    "events": EventsPanel,
    "wall": WallPanel,
}

#: The lines at the edges, which never have the focus.
EDGES: Final[dict[str, type[Panel]]] = {
    "header": HeaderPanel,
    "banner": BannerPanel,
    "keys": KeysPanel,
    "small": SmallPanel,
}
