"""Which panel is where, as a pure function of the size of the screen. Layout A: loss large, evidence below it,
judgement on the right."""

from __future__ import annotations

from typing import Final

from monitor.app.canvas import Area

#: Below this the screen says a word instead.
SMALLEST: Final = (60, 16)

#: Below either, the right-hand column goes and the alerts become a banner.
_MID: Final = (100, 32)
_WIDE: Final = 180

Places = dict[str, Area]


def is_too_small(width: int, height: int) -> bool:
    return width < SMALLEST[0] or height < SMALLEST[1]


def is_narrow(width: int, height: int) -> bool:
    return width < _MID[0] or height < _MID[1]


def place(
    width: int, height: int, *, focus: str = "loss", zoomed: bool = False, wall: bool = False, banner: int = 0
) -> Places:
    """The area of every panel that is shown, below ``banner`` lines of banner. What is not in it is hidden; nothing
    overlaps, all lies inside."""
    if is_too_small(width, height):
        return {"small": Area(0, 0, width, height)}
    places: Places = {"header": Area(0, 0, width, 2), "keys": Area(0, height - 1, width, 1)}
    if banner:
        places["banner"] = Area(0, 2, width, banner)
    top = 2 + banner
    body = Area(0, top, width, height - top - 1)
    if zoomed:
        return {**places, focus: body}
    if wall:
        return places | _wall(body)
    if is_narrow(width, height):
        return places | _narrow(body, focus)
    return places | (_wide(body) if width >= _WIDE else _mid(body))


def _wall(body: Area) -> Places:
    """Layout C: the list of runs at the left where there is room for it."""
    x, y, width, height = body
    runs = 0 if width < _MID[0] else 30 if width < _WIDE else 40
    places: Places = {"wall": Area(x + runs, y, width - runs, height)}
    return places | ({"runs": Area(x, y, runs, height)} if runs else {})


def _narrow(body: Area, focus: str) -> Places:
    """The loss over the whole width, and under it what there is room for; a focused panel always has its place."""
    x, y, width, height = body
    shelves = 2 if height >= 34 else 1
    loss = max(round(height * (0.55 if shelves == 1 else 0.4)), 5)
    rest = height - loss
    columns = 2 if width < 110 else 3 if width < 160 else 4
    wanted = ["vitals", "layers", "alerts", "classes", "runs", "grad"][: columns * shelves]
    if focus != "loss" and focus not in wanted:
        wanted[-1] = focus
    places: Places = {"loss": Area(x, y, width, loss)}
    for shelf in range(shelves):
        top = y + loss + shelf * (rest // shelves)
        tall = rest // shelves if shelf < shelves - 1 else rest - (shelves - 1) * (rest // shelves)
        names = wanted[shelf * columns : (shelf + 1) * columns]
        places |= _row(names, Area(x, top, width, tall))
    return places


def _mid(body: Area) -> Places:
    x, y, width, height = body
    right = 44 if width < 140 else 50
    left = width - right
    loss, minis = _left_heights(height)
    places: Places = {"loss": Area(x, y, left, loss)}
    places |= _row(["grad", "lr", "rate"], Area(x, y + loss, left, minis))
    places["layers"] = Area(x, y + loss + minis, left, height - loss - minis)
    runs = 6 if height >= 34 else 4
    vitals = 9 if height < 45 else 11
    alerts = round(height * 0.3)
    return places | _stack(
        Area(x + left, y, right, height),
        {"alerts": alerts, "vitals": vitals, "classes": height - alerts - vitals - runs, "runs": runs},
    )


def _wide(body: Area) -> Places:
    x, y, width, height = body
    side, right = 46, 52
    middle = width - side - right
    loss, minis = _left_heights(height)
    vitals = min(13, max(height // 4, 8))
    runs = 8 if height >= 40 else 5
    places = _stack(Area(x, y, side, height), {"runs": runs, "vitals": vitals, "classes": height - runs - vitals})
    places["loss"] = Area(x + side, y, middle, loss)
    places |= _row(["grad", "lr", "rate"], Area(x + side, y + loss, middle, minis))
    places["layers"] = Area(x + side, y + loss + minis, middle, height - loss - minis)
    alerts, heat = round(height * 0.36), round(height * 0.32)
    return places | _stack(
        Area(x + side + middle, y, right, height), {"alerts": alerts, "heat": heat, "events": height - alerts - heat}
    )


def _left_heights(height: int) -> tuple[int, int]:
    """The loss chart and the small charts; the layers get the rest."""
    return max(round(height * 0.41), 9), max(round(height * 0.215), 6)


def _row(names: list[str], area: Area) -> Places:
    """Panels side by side, as equally wide as whole cells allow."""
    x, y, width, height = area
    edges = [x + round(width * i / len(names)) for i in range(len(names) + 1)]
    return {name: Area(edges[i], y, edges[i + 1] - edges[i], height) for i, name in enumerate(names)}


def _stack(area: Area, heights: dict[str, int]) -> Places:
    """Panels on top of each other."""
    places, y = {}, area.y
    for name, height in heights.items():
        places[name] = Area(area.x, y, area.width, height)
        y += height
    return places
