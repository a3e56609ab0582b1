"""Tables that say the same in other columns: wandb's charts, and Ultralytics' losses in terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from monitor.feeds.imports.columns import plain
from monitor.feeds.imports.documents import Row
from monitor.feeds.imports.table import number

#: The columns that wandb adds to each series of a chart.
BOUNDS: Final = ("__MIN", "__MAX")
BETWEEN: Final = " - "


def unfolded(rows: Sequence[Row]) -> list[Row]:
    """A chart of wandb has a column ``RUN - SERIES`` for each run: a row a run and step instead.

    >>> unfolded([{"Step": "1", "a - loss": "2.5", "a - loss__MIN": "2.5", "b - loss": "3.5"}])
    [{'Step': '1', 'run': 'a', 'loss': '2.5'}, {'Step': '1', 'run': 'b', 'loss': '3.5'}]
    """
    names = {name: None for row in rows for name in row}
    if not any(name.endswith(BOUNDS) and BETWEEN in name for name in names):
        return list(rows)
    series = [name for name in names if BETWEEN in name and not name.endswith(BOUNDS)]
    unfolded_rows = []
    for row in rows:
        shared = {name: value for name, value in row.items() if BETWEEN not in name}
        for name in series:
            if name in row:
                run, _, key = name.rpartition(BETWEEN)
                unfolded_rows.append({**shared, "run": run, key: row[name]})
    return unfolded_rows


def summed(rows: Sequence[Row]) -> list[Row]:
    """Ultralytics logs the terms of its loss: their sum as well.

    >>> summed([{"epoch": 1, "train/box_loss": 1.0, "train/cls_loss": 0.5, "val/box_loss": 2.0}])[0]["train/loss"]
    1.5
    """
    if not rows or "train/box_loss" not in rows[0]:
        return list(rows)
    return [{**row, **{f"{part}/loss": total_of(row, part) for part in ("train", "val")}} for row in rows]


def total_of(row: Row, part: str) -> float | None:
    terms = [number(value) for name, value in row.items() if is_term(name, part)]
    known = [term for term in terms if term is not None]
    return sum(known) if known else None


def is_term(name: str, part: str) -> bool:
    return plain(name).startswith(f"{part}_") and plain(name).endswith("_loss")
