"""The keys that change what is looked at, and nothing else."""

from __future__ import annotations

from typing import get_args

from monitor.app import moves
from monitor.app.base import SAID_S, Base
from monitor.app.compare import INKS, candidates
from monitor.app.panel import ListPanel, Panel
from monitor.app.panels import PANELS
from monitor.app.panels.alerts import meant_alert
from monitor.app.panels.loss import GUTTERS
from monitor.app.panels.wall import WallPanel
from monitor.app.ruler import Axis, knows
from monitor.app.scene import RANGES, SMOOTHINGS
from monitor.app.screens.commands import CommandsScreen
from monitor.app.screens.help import HelpScreen
from monitor.app.screens.inspect import InspectScreen
from monitor.app.screens.prompt import FilterScreen
from monitor.app.window import Window
from monitor.model import Alert


class Viewing(Base):
    """Focus, lists, charts, the way from an alert to its moment."""

    # -------------------------------------------------------------------------------------------- panels and lists

    def on_panel_chosen(self, message: Panel.Chosen) -> None:
        if message.panel.id in PANELS:
            panel, at = message.panel, message.at
            is_again = at is not None and isinstance(panel, ListPanel) and panel.is_selected_at(at[1])
            is_again = is_again and self.view.focus == panel.id
            changes = {} if at is None else panel.pointed(*at)
            self._change(focus=panel.id, **changes)
            self.action_move(message.by)
            if is_again:
                self.action_open()

    def action_move(self, by: int) -> None:
        panel = self._stage.panels[self.view.focus]
        if by and isinstance(panel, ListPanel):
            panel.move(by)
        self.tick(force=True)

    def action_focus_panel(self, name: str) -> None:
        self._change(focus=name)

    def action_next_panel(self, by: int) -> None:
        order = [name for name in PANELS if name != "wall"] if self.view.zoomed else self._stage.in_sight()
        at = order.index(self.view.focus) if self.view.focus in order else 0
        self._change(focus=order[(at + by) % len(order)] if order else self.view.focus)

    def action_zoom(self) -> None:
        self._change(zoomed=not self.view.zoomed)

    def action_wall(self) -> None:
        """Layout C, and back."""
        self._change(wall=not self.view.wall, focus="loss" if self.view.wall else "wall", zoomed=False)

    def action_page(self, by: int) -> None:
        panel = self._stage.panels["wall"]
        if self.view.wall and isinstance(panel, WallPanel):
            panel.move(by * panel.page)
            self.tick(force=True)

    def action_overlay(self) -> None:
        """Lay the selected run of the list under the charts, or take it away."""
        panel = self._stage.panels["runs"]
        if not isinstance(panel, ListPanel) or not panel.items:
            return
        run_id = str(panel.items[panel.index])
        chosen = self.view.overlay
        if any(run.current and run.run_id == run_id for run in self.snapshot.runs):
            self._say("that is the run that is shown; j selects the next one, 6 the list", "dim", SAID_S)
        elif run_id in chosen:
            self._change(overlay=tuple(one for one in chosen if one != run_id))
        else:
            self._change(overlay=(*chosen, run_id)[-len(INKS) :])

    def action_open(self) -> None:
        """The selected run of the list in place of the one that is shown."""
        panel = self._stage.panels["runs"]
        if self.view.focus != panel.id or not isinstance(panel, ListPanel) or not panel.items:
            return
        run_id = str(panel.items[panel.index])
        if any(run.current and run.run_id == run_id for run in self.snapshot.runs):
            self._say("that is the run that is shown; j selects the next one", "dim", SAID_S)
        elif self._is_first(run_id):
            self.action_return()
        elif self._open_run(run_id) is None:
            self._say("that run cannot be read from here; try: bedside watch NAME", "warn", SAID_S)
        else:
            self._opened = run_id
            self._say("bksp: back to the run before", "dim", SAID_S)

    def action_return(self) -> None:
        """To the run that this screen was opened with."""
        self._opened = None
        self.tick(force=True)

    def _is_first(self, run_id: str) -> bool:
        hello = self._latest().hello
        return hello is not None and hello.run_id == run_id

    def action_ghost(self) -> None:
        self._change(ghost=not self.view.ghost)
        if self.view.ghost and next(candidates(self.snapshot), None) is None:
            self._say("no earlier run of this machine is over", "dim", SAID_S)

    def action_sort(self) -> None:
        focus = self.view.focus
        sorts = PANELS[focus].SORTS
        if sorts:
            self._change(sorts={**self.view.sorts, focus: (self.view.sorts.get(focus, 0) + 1) % len(sorts)})

    def action_filter(self) -> None:
        """Ask for a text; the list follows every letter."""
        focus = self.view.focus
        before = self.view.filters.get(focus, "")
        self.push_screen(FilterScreen(self.scene(), focus, before, lambda text: self._filter(focus, text)))

    def _filter(self, focus: str, text: str) -> None:
        panel = self._stage.panels[focus]
        if isinstance(panel, ListPanel):
            panel.release()
        self._change(filters={**self.view.filters, focus: text})

    # -------------------------------------------------------------------------------------------------- the charts

    def action_log(self) -> None:
        self._change(log=not self.view.log)

    def action_smooth(self) -> None:
        self._change(smoothing=SMOOTHINGS[(SMOOTHINGS.index(self.view.smoothing) + 1) % len(SMOOTHINGS)])

    def action_range(self, by: int) -> None:
        at = min(max(RANGES.index(self.view.range) + by, 0), len(RANGES) - 1)
        self._change(range=RANGES[at], held=None)

    def action_x_axis(self) -> None:
        """The next axis that this run knows: a run file of another tool may hold steps only."""
        axes = get_args(Axis)
        following = [*axes, *axes][axes.index(self.view.x_axis) + 1 :]
        self._change(x_axis=next(axis for axis in following if knows(self.snapshot, axis)))

    def action_magnify(self, by: int) -> None:
        self._change(held=moves.magnified(self.scene(), by), range="all")

    def action_pan(self, by: int) -> None:
        held = moves.panned(self.scene(), by)
        if held is not None:
            self._change(held=held)

    def action_cross(self, by: int) -> None:
        self._change(cross=moves.crossed(self.scene(), self._window(), by))

    def action_live(self) -> None:
        self._change(range="all", held=None, cross=None)

    def _window(self) -> Window:
        """The window of the chart that the crosshair is moved in."""
        places = self._stage.places
        area = places.get("loss") or places.get(self.view.focus)
        return self.scene().window(2 * max(area.width - GUTTERS, 1) if area else 2)

    # -------------------------------------------------------------------------------------- from alert to moment

    def action_event(self, by: int) -> None:
        """The crosshair to the next event, and the window after it if it is not in sight."""
        index, found = moves.next_moment(self.scene(), by)
        if not found:
            self._say("nothing has happened yet that has a mark", "dim", SAID_S)
            return
        moment = found[index]
        start, end = self.scene().shown
        held = self.view.held if start <= moment.step <= end else moves.around(self.scene(), moment.step)
        self._change(cross=moment.step, held=held)
        self._say(f"event {index + 1} of {len(found)}: {moment.sign} {moment.text}, step {moment.step:,}")

    def action_enter(self) -> None:
        """Open the selected run where the list of runs has the focus, else go to the selected alert."""
        if self.view.focus == "runs":
            self.action_open()
        else:
            self._to_alert()

    def _to_alert(self) -> None:
        """Every chart to the selected alert's step; once there, what is behind it."""
        alert = self._selected()
        if alert is None:
            return
        step = alert.first_step if alert.first_step is not None else alert.raised_step
        if self.view.held is not None and self.view.cross == step:
            self.push_screen(InspectScreen(self.scene(), alert, self._explain(alert.rule)))
            return
        self._change(held=moves.around(self.scene(), step), cross=step, blamed=tuple(alert.where))

    def action_acknowledge(self) -> None:
        alert = self._selected()
        if alert is not None:
            self._change(attention=self.view.attention.acknowledge(alert))
            self._say(f"{alert.rule}: {'no longer seen' if alert.acknowledged else 'seen'}", "dim", SAID_S)

    def action_mute(self) -> None:
        alert = self._selected()
        if alert is not None:
            self._change(attention=self.view.attention.mute(alert.rule, self._wall().timestamp()))
            self._say(f"{alert.rule}: {'heard again' if alert.muted else 'quiet for an hour'}", "dim", SAID_S)

    def _selected(self) -> Alert | None:
        return meant_alert(self._stage.panels["alerts"], self.scene())

    def action_release(self) -> None:
        """Back to the whole run, live, with nothing selected, filtered or said."""
        for panel in self._stage.lists():
            panel.release()
        self.view = self.view.released()
        self.tick(force=True)

    # -------------------------------------------------------------------------------------------------- the screen

    def action_theme(self) -> None:
        following = self._themes[(self._themes.index(self._palette.name) + 1) % len(self._themes)]
        self.choose_theme(following)
        self.tick(force=True)

    def action_help(self) -> None:
        self.push_screen(HelpScreen(self.scene(), self._keys))

    def action_help_quit(self) -> None:
        """Ctrl-C leaves, as it leaves the other commands; Textual would say which of its own keys does."""
        self.exit()

    def action_commands(self) -> None:
        self.push_screen(CommandsScreen(self.scene(), self._keys), self._do)

    async def _do(self, action: str | None) -> None:
        if action is not None:
            await self.run_action(action)
