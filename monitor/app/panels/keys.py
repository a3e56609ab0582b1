"""The last line: the keys that do something now; for a while what became of an intervention."""

from __future__ import annotations

from monitor.app.canvas import Canvas, clip
from monitor.app.panel import Panel
from monitor.app.scene import Scene
from monitor.model import RunState

_LISTS = ("alerts", "vitals", "layers", "classes", "runs", "events")


class KeysPanel(Panel):
    TITLE = "keys"

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        palette = scene.palette
        key, word = palette.pen("train", bold=True), palette.pen("dim")
        quit_at = canvas.put_right(canvas.width - 1, 0, [("q", key), (" quit", word)])
        x = 1
        said = scene.view.said
        if said is not None and scene.now_s < said.until_s:
            canvas.put(x, 0, clip(said.text, quit_at - x - 2), palette.pen(said.ink, bold=True))
            return
        for sign, text in _keys(scene):
            end = x + len(sign) + 1 + len(text)
            if end + 2 > quit_at:
                break
            x = canvas.write(x, 0, [(sign, key), (f" {text}", word)]) + 2


def _keys(scene: Scene) -> list[tuple[str, str]]:
    """The most useful first: what does not fit is left out from the end."""
    view, snapshot = scene.view, scene.snapshot
    keys = [("?", "help")]
    if not scene.refusal:
        keys.append(("r", "resume") if snapshot.state is RunState.PAUSED else ("i", "intervene"))
    if view.held or view.cross is not None:
        keys.append(("esc", "back to live"))
    if view.focus == "runs":
        keys.append(("⏎", "open"))
    elif snapshot.alerts:
        keys.append(("⏎", "why" if view.held and view.cross is not None else "to alert"))
    if view.focus in _LISTS:
        keys += [("j/k", "select"), ("/", "filter")]
    keys += [("l", "log"), ("s", "smooth"), ("[ ]", "range"), ("← →", "values")]
    keys.append(("z", "unzoom" if view.zoomed else "zoom"))
    keys += [("⇥", "focus"), ("t", "theme")]
    if view.range != "all":
        keys.append(("f", "whole run"))
    return keys
