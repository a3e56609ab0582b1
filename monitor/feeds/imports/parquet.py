"""Parquet files, read by pyarrow where that is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from monitor.feeds.imports.documents import Row
from monitor.feeds.imports.errors import LogError

MAGIC: Final = b"PAR1"


def is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False  # the reader of text says why


def read_parquet(path: Path) -> list[Row]:
    """A row a row; an empty cell has no value."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise LogError("a parquet file; pyarrow reads it for us: pip install pyarrow") from None
    try:
        rows = parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise LogError(f"damaged parquet file ({str(error).splitlines()[0]})") from None
    return [{str(key): value for key, value in row.items() if value is not None} for row in rows]
