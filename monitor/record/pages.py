"""Pages: many batches as one, with a note of where each began, so that a page can be cut between two of them."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Sequence

import msgspec

from monitor import rows
from probe.wire import Batch, Column, Fact, Mark

#: Rows that make a page, and the batches that make one if rows come seldom.
PAGE_ROWS = 256
PAGE_BATCHES = 1024

#: Of one batch in a page: sequence numbers, rows, layer statistics, class counts, marks, facts.
_Extent = tuple[int, int, int, int, int, int]

#: More than the extents of a page take: what is packed may unpack to anything.
_EXTENTS_BYTES = 1 << 20

_extents = msgspec.msgpack.Decoder(list[_Extent])


def is_full(batches: Sequence[Batch]) -> bool:
    """Whether these batches are worth a page."""
    return sum(batch.rows for batch in batches) >= PAGE_ROWS or len(batches) >= PAGE_BATCHES


def extents_of(batches: Iterable[Batch]) -> bytes:
    """How much of the merged page comes from each of ``batches``. They mostly look alike, so this packs well."""
    extents: list[_Extent] = []
    end = None
    for b in batches:
        begin = first_seq(b) if end is None else end + 1  # a number that never came counts for the one behind it
        extents.append((b.seq - begin + 1, b.rows, len(b.layers), len(b.classes), len(b.marks), len(b.facts)))
        end = b.seq
    return _packed(extents)


def _packed(extents: Sequence[tuple[int, ...]]) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(extents), 1)


def _extents_in(packed: bytes) -> list[_Extent]:
    return _extents.decode(zlib.decompressobj().decompress(packed, _EXTENTS_BYTES))


def first_seq(batch: Batch) -> int:
    """The first sequence number that the batch or page covers."""
    return batch.first_seq or batch.seq


def after(page: Batch, extents: bytes, seq: int) -> Batch:
    """What of the page comes after batch ``seq``, which is less than the page's last."""
    return cut(page, extents, seq)[0]


def cut(page: Batch, extents: bytes, seq: int) -> tuple[Batch, bytes]:
    """What of the page comes after batch ``seq``, which is less than the page's last, and its extents."""
    if seq < first_seq(page):
        return page, extents
    ends = first_seq(page) - 1
    extents_ = _extents_in(extents)
    known: list[_Extent] = []
    for extent in extents_:
        ends += extent[0]
        if ends > seq:
            ends -= extent[0]
            break
        known.append(extent)
    _, row, layer, count, mark, fact = (sum(column) for column in zip((0,) * 6, *known, strict=True))
    rest = Batch(
        seq=page.seq,
        first_seq=seq + 1,
        rows=page.rows - row,
        steps=rows.steps_of(page)[row:].astype("<i8").tobytes(),
        times_s=page.times_s[8 * row :],
        scalars={key: _column_after(page, key, row) for key in page.scalars},
        layers=page.layers[layer:],
        classes=page.classes[count:],
        marks=page.marks[mark:],
        facts=page.facts[fact:],
    )
    numbers, *first = extents_[len(known)]
    return rows.merge([rest]), _packed([(numbers - (seq - ends), *first), *extents_[len(known) + 1 :]])


def thinned(page: Batch, extents: bytes) -> tuple[Batch, bytes]:
    """The page with every other of its layer statistics, the first of them kept, and no confusions; its extents."""
    known, at = [], 0
    for numbers, rows_, layers, *others in _extents_in(extents):
        kept = (at + layers + 1) // 2 - (at + 1) // 2
        known.append((numbers, rows_, kept, *others))
        at += layers
    classes = [msgspec.structs.replace(counts, confused=None) for counts in page.classes]
    thin = msgspec.structs.replace(page, layers=page.layers[::2], classes=classes)
    return thin, _packed(known)


def trimmed(gap: Batch, seq: int, step: int, said: Collection[Mark | Fact] = ()) -> Batch:
    """What of a gap comes after batch ``seq``: the rest of it did arrive.

    ``step`` is the last one up to that batch, and ``said`` the marks and facts of that step.
    """
    marks = []
    for mark in gap.marks:
        if mark.kind == "gap":
            marks.append(msgspec.structs.replace(mark, step=max(mark.step, step + 1)))
        elif _is_new(mark, step, said):
            marks.append(mark)
    facts = [fact for fact in gap.facts if _is_new(fact, step, said)]
    return msgspec.structs.replace(gap, first_seq=seq + 1, marks=marks, facts=facts)


def _is_new(part: Mark | Fact, step: int, said: Collection[Mark | Fact]) -> bool:
    return part.step > step or (part.step == step and part not in said)


def _column_after(page: Batch, key: str, row: int) -> Column:
    at, values = rows.column_of(page, key)
    kept = at >= row
    return Column(values=values[kept].astype("<f8").tobytes(), at=(at[kept] - row).astype("<u4").tobytes())
