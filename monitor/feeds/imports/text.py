"""Text, plain or gzipped: JSON, JSONL, printed lines and CSV, told apart by content; rows of named values."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monitor.feeds.imports.documents import Row, document_rows, parsed
from monitor.feeds.imports.errors import LogError
from monitor.feeds.imports.printed import printed_rows, says_losses

GZIP_MAGIC = b"\x1f\x8b"
WANDB_MAGIC = b":W&B"
DELIMITERS = (",", ";", "\t")


def read_rows(path: Path) -> list[Row]:
    """Every row of the file. Raises :class:`LogError` if it cannot be read or is neither form."""
    text = read_text(path)
    if not text.strip():
        raise LogError("the file is empty; a log has one row a step or epoch")
    try:
        return rows_in(text)
    except RecursionError:
        raise LogError("JSON that is nested too deep to be a log") from None


def rows_in(text: str) -> list[Row]:
    if (document := parsed(text)) is not None:
        return [dict(flat(row)) for row in document_rows(document)]
    if says_losses(text):
        return list(printed_rows(text))
    if text.lstrip()[0] == "{":
        return list(jsonl_rows(text))
    return list(csv_rows(text))


def read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if data.startswith(GZIP_MAGIC):
            data = gzip.decompress(data)
        if data.startswith(WANDB_MAGIC):
            raise LogError("wandb's own store, which only wandb reads: wandb sync, then export the history as CSV")
        return data.decode("utf-8-sig")
    except IsADirectoryError:
        raise LogError("it is a folder; give the file in it") from None
    except FileNotFoundError:
        raise LogError("no such file") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise LogError(f"damaged gzip file ({error}); unpack it by hand to see what is left") from None
    except UnicodeDecodeError:
        raise LogError("binary, and no Bedside run file; JSONL and CSV logs can be read, plain or gzipped") from None
    except OSError as error:
        raise LogError(f"cannot be read: {error.strerror or error}") from None


def jsonl_rows(text: str) -> Iterator[Row]:
    """One object a line. A last line that was cut off by a crash is passed over; any other is an error."""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            if number == len(lines) and number > 1:
                return
            raise LogError(f"line {number} is no JSON; one object a line is expected") from None
        if not isinstance(value, dict):
            raise LogError(f"line {number} is JSON, but no object; one object a line is expected")
        yield dict(flat(value))


def flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested objects.

    >>> dict(flat({"step": 3, "train": {"loss": 0.5}}))
    {'step': 3, 'train/loss': 0.5}
    """
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from flat(inner, f"{prefix}{key}/")
        else:
            yield prefix + key, inner


def csv_rows(text: str) -> Iterator[Row]:
    """A header and one row a line. A cell that is empty has no value; a last line cut short is passed over."""
    header = text.lstrip().partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text.lstrip()), delimiter=delimiter)
    try:
        names = [name.strip() for name in next(reader)]
        for cells in reader:
            if len(cells) == len(names):
                yield {name: cell for name, cell in zip(names, cells, strict=True) if cell.strip()}
    except csv.Error as error:
        raise LogError(f"no CSV that can be read: {error}") from None
