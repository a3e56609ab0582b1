"""All that is shown on a screen too small for anything else."""

from __future__ import annotations

from monitor.app import layout
from monitor.app.canvas import Canvas, clip
from monitor.app.panel import Panel
from monitor.app.scene import Scene


class SmallPanel(Panel):
    TITLE = "small"

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        width, height = layout.SMALLEST
        lines = (f"{canvas.width}x{canvas.height} is too small", f"bedside needs {width}x{height}", "q quits")
        for number, text in enumerate(lines[: canvas.height]):
            text = clip(text, canvas.width)  # noqa: PLW2901  the part that fits
            y = max((canvas.height - len(lines)) // 2, 0) + number
            canvas.put((canvas.width - len(text)) // 2, y, text, scene.palette.pen("text" if not number else "dim"))
