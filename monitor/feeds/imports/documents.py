"""Logs that are one JSON document: Hugging Face's ``trainer_state.json``, Keras' history, a list of rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from monitor.feeds.imports.errors import LogError

Row = dict[str, Any]


def parsed(text: str) -> dict[str, Any] | list[Any] | None:
    """The document, or None for a text that is no single one, such as lines of JSON."""
    if text.lstrip()[0] not in "{[":
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict | list) else None


def document_rows(document: dict[str, Any] | list[Any]) -> list[Row]:
    """The rows in a document. An object that holds none is a row itself.

    >>> document_rows({"log_history": [{"loss": 2.5, "step": 1}], "global_step": 1})
    [{'loss': 2.5, 'step': 1}]
    >>> document_rows({"loss": [2.5, 2.0], "val_loss": [2.6, 2.2]})
    [{'epoch': 0, 'loss': 2.5, 'val_loss': 2.6}, {'epoch': 1, 'loss': 2.0, 'val_loss': 2.2}]
    """
    if isinstance(document, list):
        rows = document
    elif isinstance(document.get("log_history"), list):
        rows = document["log_history"]
    elif is_history(document):
        epochs = range(max(len(column) for column in document.values()))
        rows = [{"epoch": i, **{k: v[i] for k, v in document.items() if i < len(v)}} for i in epochs]
    else:
        rows = [document]
    if not all(isinstance(row, dict) for row in rows):
        raise LogError("JSON, but no list of objects; one object a step or epoch is expected")
    return rows


def is_history(document: Mapping[str, Any]) -> bool:
    """Whether it is a list of numbers under each name."""
    return bool(document) and all(isinstance(column, list) and column for column in document.values())
