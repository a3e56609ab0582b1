"""The runs of this machine, the one that is shown tinted."""

from __future__ import annotations

import math

from monitor.app import format as fmt
from monitor.app.canvas import Canvas, clip
from monitor.app.glyphs import SEVERITY, STATE
from monitor.app.palette import Ink
from monitor.app.panel import ListPanel, matches
from monitor.app.panels.loss import SEVERITY_INK
from monitor.app.scene import Scene
from monitor.model import RunRow


class RunsPanel(ListPanel):
    TITLE = "runs"
    PERIOD_S = 1.0
    SORTS = ("newest first", "lowest loss first", "by name")
    HELP = (
        "The runs that are recorded on this machine: state, name, newest step, newest loss. A sign and a number "
        "after a name are its open alarms. ⏎ opens the selected one here, as does a second click, and backspace goes "
        "back; space lays it under the charts, o the best earlier one, aligned by what x chose."
    )

    def news(self, scene: Scene) -> object:
        return scene.snapshot.runs

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        palette, pattern = scene.palette, self.filter(scene)
        runs = [run for run in scene.snapshot.runs if matches(pattern, run.name, run.run_id)]
        by = self.sort(scene)
        if by == "lowest loss first":
            runs.sort(key=lambda run: run.loss if run.loss is not None and math.isfinite(run.loss) else math.inf)
        elif by == "by name":
            runs.sort(key=lambda run: run.name)
        live = sum(not run.state.is_over for run in runs)
        self.items = [run.run_id for run in runs]
        right = [(f"{live} live", palette.pen("ok")), (f" · {len(runs)}", palette.pen("dim"))] if runs else []
        self.frame(canvas, scene, right=right, bottom=self.chosen(scene))
        if not runs:
            self.hint(canvas, scene, "no list of runs", "it is shown when a run of this machine is watched")
            return
        for y, item in enumerate(self.window_of(canvas.height - 2), start=1):
            cursor = self.cursor is not None and item == self.index and scene.view.focus == self.id
            self._row(canvas, scene, y, runs[item], "selected" if runs[item].current or cursor else "bg")

    def _row(self, canvas: Canvas, scene: Scene, y: int, run: RunRow, on: Ink) -> None:
        palette, width = scene.palette, canvas.width
        glyph, _, ink = STATE[run.state]
        canvas.put(1, y, " " * (width - 2), palette.pen("text", on=on))
        canvas.put(2, y, glyph, palette.pen(ink, bold=True, on=on))
        under = next((other.ink for other in scene.others if other.run_id == run.run_id), None)
        if under is not None:
            canvas.put(1, y, "▎", palette.pen(under, bold=True, on=on))
        bad = run.loss is not None and not math.isfinite(run.loss)
        loss = palette.pen("crit" if bad else "hi", bold=bad, on=on)
        canvas.put_right(width - 2, y, [(fmt.real(run.loss, 4), loss)])
        step_end = width - 9
        canvas.put_right(step_end, y, [(fmt.short(run.step), palette.pen("dim", on=on))])
        room = step_end - 6 - 4
        alarms = f" {SEVERITY[run.worst]}{run.alarms}" if run.alarms else ""
        x = canvas.put(4, y, clip(run.name, room - len(alarms)), palette.pen("hi", bold=run.current, on=on))
        canvas.put(x, y, alarms, palette.pen(SEVERITY_INK[run.worst], bold=True, on=on))
