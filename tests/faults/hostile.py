"""Messages and bytes as an enemy makes them: every field of the right type, and nothing else right about it."""

import math
import types
import typing
from collections.abc import Iterator

import msgspec
import numpy as np
from hypothesis import strategies as st

from probe import packing, wire

TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["", "\x1b]0;owned\x07", "\x1b[2J", "../../etc/passwd", "train/loss", "grad_norm", "epoch", "val/loss"]
    ),
)
INTS = st.one_of(st.integers(-3, 300), st.sampled_from([1 << 62, (1 << 63) - 1, -(1 << 63), 1 << 31, (1 << 64) - 1]))
FLOATS = st.one_of(st.floats(), st.sampled_from([math.nan, math.inf, -math.inf, 1e300, -1e300, 0.0, 1.7e9]))
BYTES = st.one_of(
    st.binary(max_size=40),
    st.lists(st.integers(0, 5), max_size=6).map(packing.pack_steps),
    st.lists(st.floats(), max_size=6).map(packing.pack_floats),
    st.lists(st.integers(0, 5), max_size=6).map(packing.pack_rows),
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), INTS, FLOATS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
PLAIN = {
    bool: st.booleans(),
    int: INTS,
    float: FLOATS,
    str: TEXTS,
    bytes: BYTES,
    typing.Any: ANYTHING,
    type(None): st.none(),
}


def of(kind: object) -> st.SearchStrategy:
    """Values of a field's type."""
    if kind in PLAIN:
        return PLAIN[kind]
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return st.lists(of(inner[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(of(inner[0]), of(inner[1]), max_size=3)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(of, inner))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return messages(kind)
    return st.sampled_from(list(kind))


def messages(kind: type[msgspec.Struct]) -> st.SearchStrategy:
    """Messages of one type, with hostile values in every field."""
    hints = typing.get_type_hints(kind)
    names = [field.name for field in msgspec.structs.fields(kind)]
    return st.fixed_dictionaries({name: of(hints[name]) for name in names}).map(lambda fields: kind(**fields))


def batches() -> st.SearchStrategy:
    """Batches whose lengths agree, so that they get past the first look; what they say need make no sense."""

    def build(rows: int, start: int, columns: dict[str, bytes], rest: wire.Batch) -> wire.Batch:
        scalars = {key: wire.Column(values=(value * rows)[: 8 * rows]) for key, value in columns.items()}
        times_s = packing.pack_floats([float(row) for row in range(rows)])
        return msgspec.structs.replace(rest, rows=rows, start=start, steps=b"", times_s=times_s, scalars=scalars)

    eight = FLOATS.map(lambda value: packing.pack_floats([value]))
    return st.builds(build, st.integers(0, 5), INTS, st.dictionaries(TEXTS, eight, max_size=4), messages(wire.Batch))


def mutated(frames: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Real frames with bits turned, pieces cut out, doubled, put in, or lengths made enormous."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        frame = bytearray(frames[int(random.integers(len(frames)))])
        for _ in range(int(random.integers(1, 4))):
            at = int(random.integers(len(frame) + 1))
            match int(random.integers(5)):
                case 0 if at < len(frame):
                    frame[at] ^= 1 << int(random.integers(8))
                case 1:
                    del frame[at : at + int(random.integers(1, 9))]
                case 2:
                    frame[at:at] = frame[at : at + int(random.integers(1, 40))]
                case 3:
                    frame[at:at] = random.bytes(int(random.integers(1, 9)))
                case _:
                    frame[at : at + 5] = b"\xdd\xff\xff\xff\xff"  # an array of 4 billion
        yield bytes(frame)
