"""Numbers to the bytes of a :class:`probe.wire.Column`. Standard library only."""

from __future__ import annotations

from array import array
from collections.abc import Sequence


def pack_floats(values: Sequence[float]) -> bytes:
    """float64, little-endian."""
    return array("d", values).tobytes()


def pack_floats32(values: list[float]) -> bytes:
    """float32, little-endian; a value beyond float32's range becomes an infinity of its sign."""
    return array("f", values).tobytes()


def pack_steps(values: list[int]) -> bytes:
    """int64, little-endian."""
    return array("q", values).tobytes()


def pack_rows(values: list[int]) -> bytes:
    """uint32, little-endian; the ``at`` of a column."""
    return array("I", values).tobytes()
