"""What all panels share: one widget that draws frame, title and body into one grid of cells, and repaints the
cells that changed.

The frame is drawn here and not by CSS because setting ``border_title`` repaints a whole widget.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

from textual import events
from textual.filter import ANSIToTruecolor
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from monitor.app.canvas import Area, Canvas, Span, clip, spans_len
from monitor.app.palette import Palette
from monitor.app.scene import Scene


class Panel(Widget):
    """One part of the screen. A subclass draws itself from a scene; it asks nobody for anything."""

    ALLOW_SELECT = False
    TITLE: ClassVar[str] = ""

    #: The least time between two drawings of new data: a table whose every row moves is not read 4 times a second.
    PERIOD_S: ClassVar[float] = 0.0

    #: The orders that its list can have, the first one from the start.
    SORTS: ClassVar[tuple[str, ...]] = ()

    #: What ``?`` says about the panel while it has the focus.
    HELP: ClassVar[str] = ""

    class Chosen(Message):
        """The panel was clicked, at a cell of it, or its list was scrolled with the wheel."""

        def __init__(self, panel: Panel, by: int = 0, at: tuple[int, int] | None = None) -> None:
            super().__init__()
            self.panel = panel
            self.by = by
            self.at = at

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scene: Scene | None = None
        self._grid: Canvas | None = None
        self._strips: list[Strip | None] = []  # of the rows of the grid, made when they are first asked for
        self._palette: Palette | None = None  # whose pens the grid holds
        self._drawn_s = float("-inf")
        self._drawn_news: object = None
        self.is_late = False

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """Draw the panel, frame and all. Each panel has its own; Textual's metaclass leaves no room for ABC's."""
        raise NotImplementedError

    def news(self, scene: Scene) -> object:
        """What does not wait for the panel's time, compared with what it was at the last drawing."""
        del scene
        return None

    def show(self, scene: Scene, *, at_once: bool = True) -> None:
        """Draw this scene and repaint what it changes; unless ``at_once`` or at news, not before the panel's time."""
        self.scene = scene
        waits = not at_once and scene.now_s - self._drawn_s < self.PERIOD_S
        self.is_late = waits and self.news(scene) == self._drawn_news
        if self.display and self.size and not self.is_late:
            self._draw(*self.size)

    @property
    def is_drawn(self) -> bool:
        """Whether it has drawn anything yet."""
        return self._grid is not None

    def place(self, area: Area | None) -> None:
        """Move to an area of the screen, or out of sight."""
        self.display = area is not None
        if area is not None:
            self.styles.offset = (area.x, area.y)
            self.styles.width = area.width
            self.styles.height = area.height

    def _draw(self, width: int, height: int) -> None:
        scene = self.scene
        if scene is None or width < 1 or height < 1:
            return
        canvas = Canvas(width, height, scene.palette.pen("text"))
        self.draw(canvas, scene)
        before = self._grid
        if before is not None and (
            (before.width, before.height) != (width, height) or self._palette is not scene.palette
        ):
            before = None
        self._grid, self._palette = canvas, scene.palette
        self._drawn_s, self._drawn_news = scene.now_s, self.news(scene)
        runs = canvas.changed(before)
        if before is None:
            self._strips = [None] * height
        for run in runs:
            self._strips[run.y] = None
        if runs:
            self.refresh(*[Region(run.x, run.y, run.width, 1) for run in runs])

    def on_resize(self, event: events.Resize) -> None:
        self._draw(*event.size)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Past Textual's cache of styles: a panel has no border, padding or opacity to put round its rows."""
        width = self.size.width
        strips = [self._strip(y, width) for y in crop.line_range]
        return strips if crop.width == width else [strip.crop(crop.x, crop.right) for strip in strips]

    def render_line(self, y: int) -> Strip:
        return self._strip(y, self.size.width)

    def _strip(self, y: int, width: int) -> Strip:
        grid, palette = self._grid, self._palette
        if palette is None or grid is None or y >= grid.height:
            return self._filtered(Strip.blank(width, palette.background() if palette else self.rich_style))
        strip = self._strips[y]
        if strip is None:
            strip = self._strips[y] = self._filtered(grid.strip(y, palette))
        return strip if grid.width == width else strip.adjust_cell_length(width, palette.background())

    def _filtered(self, strip: Strip) -> Strip:
        """As NO_COLOR wants it; a terminal with colours of its own gets those from us, none is to be translated."""
        for line_filter in self.app.get_line_filters():
            if not isinstance(line_filter, ANSIToTruecolor):
                strip = strip.apply_filter(line_filter, self.background_colors[1])
        return strip

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Chosen(self, at=(event.x, event.y)))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.post_message(self.Chosen(self, by=1))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.post_message(self.Chosen(self, by=-1))

    def pointed(self, x: int, y: int) -> dict[str, Any]:
        """What a click on a cell changes in the view; a list selects what is there."""
        del x, y
        return {}

    # ---------------------------------------------------------------------------------- what subclasses draw with

    def frame(
        self,
        canvas: Canvas,
        scene: Scene,
        *,
        left: Sequence[Span] = (),
        right: Sequence[Span] = (),
        bottom: Sequence[Span] = (),
        urgent: bool = False,
    ) -> None:
        """The rounded frame, with the title and ``left`` in its top line, ``right`` at its end, ``bottom`` below.

        What does not fit is left out, the right-hand part first.
        """
        palette = scene.palette
        focused = scene.view.focus == self.id
        pen = palette.pen("crit" if urgent and focused else "crit_low" if urgent else "train" if focused else "frame")
        width, last = canvas.width, canvas.height - 1
        canvas.box(pen)
        title = clip(self.TITLE, width - 6)
        x = canvas.put(2, 0, f" {title} ", palette.pen("hi" if focused else "text", bold=True))
        if left and x + spans_len(left) + 2 <= width:
            x = canvas.write(x, 0, [*left, (" ", pen)])
        if right and x + spans_len(right) + 5 <= width:
            canvas.put_right(width - 2, 0, [(" ", pen), *right, (" ", pen)])
        if bottom and spans_len(bottom) + 6 <= width and last > 0:
            canvas.put_right(width - 2, last, [(" ", pen), *bottom, (" ", pen)])

    def hint(self, canvas: Canvas, scene: Scene, what: str, how: str) -> None:
        """What a panel says while it has no data: what is missing, and what would bring it."""
        room = canvas.width - 4
        lines = wrap(how, room)[: max(canvas.height - 3, 0)]
        y = max((canvas.height - len(lines) - 1) // 2, 1)
        canvas.put(2, y, clip(what, room), scene.palette.pen("text"))
        for number, text in enumerate(lines):
            canvas.put(2, y + 1 + number, text, scene.palette.pen("dim"))


class ListPanel(Panel):
    """A panel with a cursor on one of its items. The cursor stays with the item when the order changes."""

    #: The row of its first item.
    FIRST_ROW: ClassVar[int] = 1

    def filter(self, scene: Scene) -> str:
        """What the list is filtered by, empty if by nothing."""
        return scene.view.filters.get(self.id or "", "")

    def chosen(self, scene: Scene) -> list[Span]:
        """For the bottom line: the order and the filter, where they are not those from the start."""
        pattern, number = self.filter(scene), scene.view.sorts.get(self.id or "", 0)
        order = [(f" · {self.SORTS[number]}", scene.palette.pen("text"))] if number else []
        return order + ([(f" /{pattern}", scene.palette.pen("train", bold=True))] if pattern else [])

    def sort(self, scene: Scene) -> str:
        """The order that the list has."""
        return self.SORTS[scene.view.sorts.get(self.id or "", 0)]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.items: Sequence[Hashable] = ()
        self.cursor: Hashable | None = None
        self._put_at = 0  # where the cursor was put: of several equal items it is on that one
        self.top = 0

    @property
    def index(self) -> int:
        """Where the cursor is; the first item while nobody has moved it, or when its item is gone."""
        if self.cursor is None or self.cursor not in self.items:
            return 0
        is_there = self._put_at < len(self.items) and self.items[self._put_at] == self.cursor
        return self._put_at if is_there else self.items.index(self.cursor)

    @property
    def selected(self) -> Hashable | None:
        """The item under the cursor; ``None`` while the list is empty."""
        return self.items[self.index] if self.items else None

    def put(self, index: int) -> None:
        """Put the cursor on an item; where there is none, it stays."""
        if 0 <= index < len(self.items):
            self.cursor, self._put_at = self.items[index], index

    def pointed(self, x: int, y: int) -> dict[str, Any]:
        del x
        index = self.item_at(y)
        if index is not None:
            self.put(index)
        return {}

    def item_at(self, y: int) -> int | None:
        """The item that is drawn in a row of the panel."""
        return self.top + y - self.FIRST_ROW if y >= self.FIRST_ROW else None

    def is_selected_at(self, y: int) -> bool:
        """Whether the item that the cursor has been put on is drawn in a row of the panel."""
        return self.cursor in self.items and self.item_at(y) == self.index

    def move(self, by: int) -> None:
        """Move the cursor down by so many items; it stops at either end."""
        self.put(min(max(self.index + by, 0), len(self.items) - 1))

    def release(self) -> None:
        """Back to the first item, and to following it."""
        self.cursor = None
        self.top = 0

    def window_of(self, rows: int) -> range:
        """The items that are visible in ``rows`` lines of one item each; scrolls so that the cursor is one."""
        index, n = self.index, len(self.items)
        self.top = min(max(self.top, index - rows + 1), index)
        self.top = max(min(self.top, n - rows), 0)
        return range(self.top, min(self.top + max(rows, 0), n))


def matches(pattern: str, *texts: str) -> bool:
    """Whether the texts hold every word of the pattern, whatever the case, and none that begins with ``!``."""
    text = " ".join(texts).casefold()
    words = pattern.casefold().split()
    return all((word[1:] not in text or not word[1:]) if word[0] == "!" else word in text for word in words)


def wrap(text: str, width: int) -> list[str]:
    """The text in lines of at most ``width`` cells, broken at spaces, and inside a word only if it must be."""
    lines: list[str] = []
    current = ""
    for word in text.split():
        joined = f"{current} {word}" if current else word
        if spans_len([(joined, 0)]) <= width:
            current = joined
            continue
        if current:
            lines.append(current)
        while spans_len([(word, 0)]) > width > 1:
            piece = clip(word, width)[:-1]
            lines.append(piece)
            word = word[len(piece) :]  # noqa: PLW2901  the rest of a word that is longer than a line
        current = word
    return [*lines, current] if current else lines
