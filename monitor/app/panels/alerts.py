"""What is wrong, the worst and newest first: the selected alert is opened into what was seen and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from monitor.app import format as fmt
from monitor.app.canvas import Canvas, Span, clip, spans_len
from monitor.app.glyphs import SEVERITY
from monitor.app.interventions import suggested
from monitor.app.interventions import title as title_of
from monitor.app.palette import Ink
from monitor.app.panel import ListPanel, Panel, matches, wrap
from monitor.app.panels.banner import worst_alarm
from monitor.app.panels.loss import SEVERITY_INK
from monitor.app.scene import Scene
from monitor.model import Alert, Severity, Snapshot

Line = list[Span]

#: Cells before the text under a title.
_INDENT = 4


def in_order(snapshot: Snapshot) -> list[Alert]:
    """Open alerts first, unacknowledged before acknowledged, then by severity, then the newest; muted ones last."""
    return sorted(
        snapshot.alerts,
        key=lambda a: (a.muted, not a.is_open, a.acknowledged, -a.severity, -a.raised_step, -a.id),
    )


def meant_alert(panel: Panel, scene: Scene) -> Alert | None:
    """The alert that the keys act on: the one that the list has opened, or, where the list is not in sight, the one
    that the banner tells of."""
    if not scene.has_alerts and (alarm := worst_alarm(scene.snapshot)) is not None:
        return alarm
    alerts = _listed(panel, scene) if scene.has_alerts else in_order(scene.snapshot)
    cursor = getattr(panel, "cursor", None)
    return next((alert for alert in alerts if alert.id == cursor), alerts[0] if alerts else None)


def _listed(panel: Panel, scene: Scene) -> list[Alert]:
    """The alerts that the panel's filter lets through, in order."""
    pattern = scene.view.filters.get(panel.id or "", "")
    return [alert for alert in in_order(scene.snapshot) if matches(pattern, alert.rule, *alert.where)]


class AlertsPanel(ListPanel):
    TITLE = "alerts"
    PERIOD_S = 1.0
    _items_of_rows: Sequence[int] = ()
    HELP = (
        "The worst and newest first. The selected one is opened: what was seen, with its numbers and the step where "
        "it began, then → what to do. ⏎ takes the charts there and marks the layers or classes at fault, ⏎ again "
        "says what the rule looks for, esc goes back. a: seen; m: quiet about its kind for an hour. ✗ critical and ▲ "
        "warning are alarms; ● notice and ○ info never ring. A resolved alert is dim."
    )

    def news(self, scene: Scene) -> object:
        return scene.snapshot.alerts, scene.snapshot.notices

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        palette, alerts = scene.palette, _listed(self, scene)
        self.items = [alert.id for alert in alerts]
        key, word = palette.pen("train", bold=True), palette.pen("dim")
        keys: Line = [
            ("⏎", key),
            (" to its step  ", word),
            ("a", key),
            (" seen  ", word),
            ("m", key),
            (" mute", word),
        ]
        bottom = [*(keys if alerts else []), *self.chosen(scene)]
        self.frame(canvas, scene, right=_counts(scene, alerts), bottom=bottom, urgent=scene.has_critical)
        rows = canvas.height - 2
        y = self._list(canvas, scene, alerts, rows) if alerts else self._calm(canvas, scene)
        self._notices(canvas, scene, y)

    def item_at(self, y: int) -> int | None:
        return self._items_of_rows[y - 1] if 1 <= y <= len(self._items_of_rows) else None

    def _list(self, canvas: Canvas, scene: Scene, alerts: list[Alert], rows: int) -> int:
        """Draw from the first visible alert on; returns the row after the last line."""
        blocks = [self._block(scene, alert, canvas.width - 2, i == self.index) for i, alert in enumerate(alerts)]
        self.top = min(max(self.top, 0), self.index)
        while self.top < self.index and sum(len(b) for b in blocks[self.top : self.index + 1]) > rows:
            self.top += 1
        y = 1
        drawn: list[int] = []
        self._items_of_rows = drawn
        for i in range(self.top, len(blocks)):
            for line in blocks[i]:
                if y > rows:
                    return y
                drawn.append(i)
                if i == self.index:
                    canvas.put(1, y, " " * (canvas.width - 2), scene.palette.pen("text", on="selected"))
                canvas.write(1, y, line)
                y += 1
        return y

    def _block(self, scene: Scene, alert: Alert, width: int, selected: bool) -> list[Line]:
        """The lines of one alert: a title, and under it what and what to do."""
        palette, on = scene.palette, "selected" if selected else "bg"
        live = alert.is_open and not (alert.acknowledged or alert.muted)
        ink: Ink = SEVERITY_INK[alert.severity] if live else "dim"
        surface: Ink = "selected" if selected else "bg"
        bar: Span = ("▎" if selected else " ", palette.pen(ink, bold=True, on=surface))
        note = _note(scene, alert)
        title = clip(alert.rule + _where(alert), width - 6 - len(note))
        pad = " " * max(width - 4 - spans_len([(title, 0)]) - len(note) - 1, 1)
        lines: list[Line] = [
            [
                bar,
                (f" {SEVERITY[alert.severity]} ", palette.pen(ink, bold=True, on=surface)),
                (title, palette.pen("hi" if live else "dim", bold=live, on=surface)),
                (pad + note, palette.pen("dim", on=surface)),
            ]
        ]
        room = width - _INDENT - 1
        text, dim = palette.pen("text" if live else "dim", on=surface), palette.pen("dim", on=surface)
        arrow = palette.pen("ok" if live else "dim", bold=True, on=surface)
        if on == "bg":
            if live:
                action = clip(alert.action, room - 2)
                lines.append([bar, ("   → ", palette.pen("ok_low")), (action, dim)])
            return lines
        lines += [[bar, ("   " + line, text)] for line in wrap(alert.summary, room)]
        lines += [[bar, ("   " + line, dim)] for line in wrap(_details(alert), room)]
        for number, line in enumerate(wrap(alert.action, room - 2)):
            lines.append([bar, ("   → " if not number else "     ", arrow), (line, text)])
        if (offers := suggested(scene.snapshot, alert)) and not scene.refusal:
            key = palette.pen("train", bold=True, on=surface)
            pairs = [
                [(f"{letter} ", key), (f"{title_of(offer)}   ", text)]
                for letter, offer in zip("dD", offers, strict=False)
            ]
            lines.append([bar, ("     ", text), *(span for pair in pairs for span in pair)])
        return lines

    def _calm(self, canvas: Canvas, scene: Scene) -> int:
        palette, snapshot = scene.palette, scene.snapshot
        if not snapshot.step:
            canvas.put(2, 1, "nothing judged yet", palette.pen("text"))
            canvas.put(2, 2, clip("every step is judged as it is recorded", canvas.width - 4), palette.pen("dim"))
        else:
            x = canvas.put(2, 1, "✓ ", palette.pen("ok", bold=True))
            canvas.put(x, 1, clip("no alerts", canvas.width - 6), palette.pen("text"))
            text = f"nothing found in {fmt.count(snapshot.step)} steps"
            canvas.put(4, 2, clip(text, canvas.width - 6), palette.pen("dim"))
        return 4

    def _notices(self, canvas: Canvas, scene: Scene, y: int) -> None:
        """What the probe or the recorder said, the newest first, in the room that is left."""
        for notice in reversed(scene.snapshot.notices):
            for number, line in enumerate(wrap(notice, canvas.width - 7)):
                if y > canvas.height - 2:
                    return
                canvas.put(3, y, "○ " if not number else "  ", scene.palette.pen("info"))
                canvas.put(5, y, line, scene.palette.pen("dim"))
                y += 1


def _counts(scene: Scene, alerts: list[Alert]) -> Line:
    counts = Counter(alert.severity for alert in alerts if alert.is_open and not alert.muted)
    spans: Line = []
    for severity in sorted(Severity, reverse=True):
        if counts[severity]:
            gap = "  " if spans else ""
            pen = scene.palette.pen(SEVERITY_INK[severity], bold=True)
            spans.append((f"{gap}{SEVERITY[severity]} {counts[severity]}", pen))
    return spans


def _where(alert: Alert) -> str:
    if not alert.where:
        return ""
    more = f" +{len(alert.where) - 1}" if len(alert.where) > 1 else ""
    return f" in {alert.where[0]}{more}"


def _note(scene: Scene, alert: Alert) -> str:
    """What stands at the end of the title: that it is over, or seen; how often; how long ago."""
    times = f"×{alert.count} " if alert.count > 1 else ""
    if not alert.is_open:
        return f"{times}resolved"
    if alert.muted or alert.acknowledged:
        return f"{times}{'muted' if alert.muted else 'seen'}"
    return times + (fmt.ago(scene.alert_age_s(alert)) if alert.time_s else "")


def _details(alert: Alert) -> str:
    """Where it began, until when it lasted, and the symptoms folded under it."""
    parts = []
    if alert.first_step is not None:
        parts.append(f"since step {fmt.count(alert.first_step)}")
    if alert.resolved_step is not None:
        parts.append(f"until {fmt.count(alert.resolved_step)}")
    if alert.symptoms:
        parts.append("with " + ", ".join(alert.symptoms))
    return ", ".join(parts)
