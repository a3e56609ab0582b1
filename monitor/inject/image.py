"""The program of another process as it lies in memory: where a function of CPython is there.

Memory rather than files: a file may have been replaced since, or lie elsewhere for a process in a container.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_STRTAB, _DT_SYMTAB, _DT_STRSZ = 5, 6, 10
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<QQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Mapping:
    """A line of ``/proc/PID/maps``."""

    start: int
    end: int
    access: str
    offset: int
    path: str


def mappings(pid: int) -> list[Mapping]:
    """Raises OSError where they may not be read."""
    found = []
    for line in Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines():
        span, access, offset, _device, _inode, *path = line.split(None, 5)
        start, end = (int(part, 16) for part in span.split("-"))
        found.append(Mapping(start, end, access, int(offset, 16), path[0] if path else ""))
    return found


def python_symbols(pid: int, names: frozenset[str]) -> dict[str, int]:
    """The addresses of CPython's symbols in a process, of its library or its program; empty if it is no CPython."""
    program = Path(f"/proc/{pid}/exe").readlink().name
    return library_symbols(pid, "libpython", names) or library_symbols(pid, program, names)


def library_symbols(pid: int, library: str, names: frozenset[str]) -> dict[str, int]:
    """The addresses of all these symbols in the first image whose file name begins so; empty if none has them."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for each in mappings(pid):
            if each.offset == 0 and each.path.startswith("/") and Path(each.path).name.startswith(library):
                found = dict(_symbols(memory, each, names))
                if found.keys() >= names:
                    return found
    return {}


def find_instruction(pid: int, code: bytes) -> int:
    """The address of an instruction in the C library or the kernel's page; 0 if there is none."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for each in mappings(pid):
            if "x" in each.access and (each.path == "[vdso]" or "libc" in each.path.rpartition("/")[2]):
                at = _read(memory, each.start, each.end - each.start).find(code)
                if at >= 0:
                    return each.start + at
    return 0


def _symbols(memory: BinaryIO, image: Mapping, names: frozenset[str]) -> Iterator[tuple[str, int]]:
    """The wanted symbols of a loaded 64-bit ELF image."""
    header = _HEADER.unpack(_read(memory, image.start, _HEADER.size))
    segments_at, size, count = header[5], header[9], header[10]
    if header[0][:5] != b"\x7fELF\x02":
        return
    table = _read(memory, image.start + segments_at, size * count)
    segments = [_SEGMENT.unpack_from(table, i * size) for i in range(count)]
    bias = image.start - min(segment[3] for segment in segments if segment[0] == _PT_LOAD) // _PAGE * _PAGE
    at = next((segment for segment in segments if segment[0] == _PT_DYNAMIC), None)
    if at is None:
        return
    dynamic = dict(_DYNAMIC.iter_unpack(_read(memory, bias + at[3], at[6] // _DYNAMIC.size * _DYNAMIC.size)))
    # glibc puts addresses where the file has offsets; musl leaves them.
    strings_at, symbols_at = (
        value if value >= bias else value + bias for value in (dynamic[_DT_STRTAB], dynamic[_DT_SYMTAB])
    )
    strings = _read(memory, strings_at, dynamic[_DT_STRSZ])
    # The number of symbols stands nowhere; every linker puts the strings behind them.
    symbols = _read(memory, symbols_at, (strings_at - symbols_at) // _SYMBOL.size * _SYMBOL.size)
    for name_at, _info, _other, section, value, _size in _SYMBOL.iter_unpack(symbols):
        if section and name_at < len(strings):
            name = strings[name_at : strings.find(b"\0", name_at)].decode(errors="replace")
            if name in names:
                yield name, bias + value


def read_word(pid: int, address: int) -> int:
    """An unsigned long of a process."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        return int.from_bytes(_read(memory, address, 8), "little")


def _read(memory: BinaryIO, address: int, size: int) -> bytes:
    memory.seek(address)
    return memory.read(size)
