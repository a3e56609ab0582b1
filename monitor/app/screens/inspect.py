"""``⏎`` on an alert that the charts stand at: its evidence, what its rule looks for, and what can be done."""

from __future__ import annotations

from textual import events

from monitor.app import format as fmt
from monitor.app.canvas import Canvas, spans_len
from monitor.app.glyphs import SEVERITY
from monitor.app.interventions import suggested, title
from monitor.app.panel import Panel, wrap
from monitor.app.panels.loss import SEVERITY_INK
from monitor.app.scene import Scene
from monitor.app.screens.help import Over
from monitor.model import Alert

Line = list[tuple[str, int]]


class InspectPanel(Panel):
    """All that is known of one alert."""

    def __init__(self, alert: Alert, explanation: str) -> None:
        super().__init__(id="inspect")
        self.TITLE = alert.rule  # type: ignore[misc]  # the box has the title of what it shows
        self._alert, self._explanation = alert, explanation
        self.top = 0

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        lines = self._lines(scene, canvas.width - 6)
        rows = canvas.height - 2
        self.top = min(max(self.top, 0), max(len(lines) - rows, 0))
        more = "j k more   " if len(lines) > rows else ""
        self.frame(canvas, scene, bottom=[(f"{more}any other key closes", scene.palette.pen("dim"))])
        for y, line in enumerate(lines[self.top : self.top + rows], start=1):
            canvas.write(3, y, line)

    def _lines(self, scene: Scene, room: int) -> list[Line]:
        palette, alert = scene.palette, self._alert
        text, dim, bold = palette.pen("text"), palette.pen("dim"), palette.pen("hi", bold=True)
        head = palette.pen(SEVERITY_INK[alert.severity], bold=True)

        def part(words: str, pen: int) -> list[Line]:
            return [[(line, pen)] for line in wrap(words, room)]

        lines: list[Line] = [[(f"{SEVERITY[alert.severity]} {alert.severity.label}", head), (_when(alert), dim)], []]
        lines += [*part(alert.summary, bold), []]
        lines += [[(f"{name:24} ", dim), (fmt.real(value), text)] for name, value in alert.evidence.items()]
        for name, values in (("in", alert.where), ("seen in", alert.signals), ("with", alert.symptoms)):
            if values:
                lines += part(f"{name} {', '.join(values)}", text)
        lines += [[], *part(f"→ {alert.action}", palette.pen("ok"))]
        if not scene.refusal:
            offers = suggested(scene.snapshot, alert)
            lines += [[(f"  {key} ", head), (title(offer), text)] for key, offer in zip("dD", offers, strict=False)]
        if self._explanation:
            lines.append([])
        for row in self._explanation.splitlines():  # a definition is set in columns: kept, where they fit
            lines += [[(row, dim)]] if spans_len([(row, dim)]) <= room else part(row, dim)
        return lines


def _when(alert: Alert) -> str:
    began = alert.first_step if alert.first_step is not None else alert.raised_step
    until = "" if alert.resolved_step is None else f", resolved at {fmt.count(alert.resolved_step)}"
    times = "" if alert.count == 1 else f", {alert.count} times"
    return f"  since step {fmt.count(began)}, said at {fmt.count(alert.raised_step)}{until}{times}"


class InspectScreen(Over):
    """Scrolled with the keys of lists, closed by any other."""

    def __init__(self, scene: Scene, alert: Alert, explanation: str) -> None:
        super().__init__(scene, InspectPanel(alert, explanation))

    def take(self, key: events.Key) -> None:
        by = {"j": 1, "down": 1, "k": -1, "up": -1, "pagedown": 10, "pageup": -10}.get(key.key, 0)
        if not by:
            super().take(key)
            return
        assert isinstance(self.panel, InspectPanel)
        self.panel.top += by
        self.panel.show(self.scene)
