"""A zip file as a stream of bytes that depend on names and contents alone.

Members are stored, not compressed: what deflate makes of the same bytes differs between versions of
zlib, so a compressed archive would have another digest on another machine. They are sorted, dated
1980-01-01 and readable by everyone. Numbers are sections of PKWARE's APPNOTE.TXT 6.3.10.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgepipe import disk
from edgepipe.errors import BundleError

_CHUNK = 1 << 20
_BIG, _MANY = 0xFFFFFFFF, 0xFFFF
_UTF8 = 1 << 11
_VERSION, _VERSION64, _UNIX = 20, 45, 3
_DATE = 1 << 5 | 1
_ATTRIBUTES = (stat.S_IFREG | 0o644) << 16


@dataclass(frozen=True)
class _Written:
    """What the directory has to say of a member."""

    name: bytes
    crc: int
    size: int
    start: int


def stream(folder: Path, names: Iterable[str]) -> Iterator[bytes]:
    """A zip with the files ``names`` of ``folder``, in chunks; each file is read twice.

    Raises DiskError when one cannot be read, BundleError when one changes between its readings.
    """
    written, at = [], 0
    for name in sorted(names):
        crc, size = _sum(folder / name)
        member = _Written(name.encode(), crc, size, at)
        header = _local(member)
        yield header
        yield from _again(folder / name, crc, size)
        written.append(member)
        at += len(header) + size
    directory = b"".join(map(_entry, written))
    yield directory
    yield _end(len(written), len(directory), at)


def _chunks(path: Path) -> Iterator[bytes]:
    with disk.translated("read", path), path.open("rb") as file:
        yield from iter(lambda: file.read(_CHUNK), b"")


def _sum(path: Path) -> tuple[int, int]:
    crc = size = 0
    for chunk in _chunks(path):
        crc, size = zlib.crc32(chunk, crc), size + len(chunk)
    return crc, size


def _again(path: Path, crc: int, size: int) -> Iterator[bytes]:
    found = 0
    for chunk in _chunks(path):
        found, size = zlib.crc32(chunk, found), size - len(chunk)
        yield chunk
    if (found, size) != (crc, 0):
        raise BundleError(f"{path} changed while it was packed; again when nobody writes to it")


def _local(member: _Written) -> bytes:
    """4.3.7; both sizes go to the zip64 field when one does not fit (4.5.3)."""
    large = member.size >= _BIG
    extra = struct.pack("<2H2Q", 1, 16, member.size, member.size) if large else b""
    size = _BIG if large else member.size
    version = _VERSION64 if large else _VERSION
    sizes = (member.crc, size, size, len(member.name), len(extra))
    fields = (b"PK\3\4", version, _flags(member), 0, 0, _DATE, *sizes)
    return struct.pack("<4s5H3L2H", *fields) + member.name + extra


def _entry(member: _Written) -> bytes:
    """4.3.12; only what does not fit goes to the zip64 field."""
    large = [n for n in (member.size, member.size, member.start) if n >= _BIG]
    extra = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    version = _VERSION64 if large else _VERSION
    size, start = min(member.size, _BIG), min(member.start, _BIG)
    sizes = (member.crc, size, size, len(member.name), len(extra))
    fields = (b"PK\1\2", _UNIX << 8 | version, version, _flags(member), 0, 0, _DATE, *sizes)
    return struct.pack("<4s6H3L5H2L", *fields, 0, 0, 0, _ATTRIBUTES, start) + member.name + extra


def _flags(member: _Written) -> int:
    return 0 if member.name.isascii() else _UTF8


def _end(count: int, length: int, start: int) -> bytes:
    """4.3.16, after 4.3.14 and 4.3.15 when a figure does not fit."""
    shown = (min(count, _MANY), min(count, _MANY), min(length, _BIG), min(start, _BIG))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *shown, 0)
    if count < _MANY and max(length, start) < _BIG:
        return end
    versions = (_UNIX << 8 | _VERSION64, _VERSION64)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, *versions, 0, 0, count, count, length, start)
    return record + struct.pack("<4sLQL", b"PK\6\7", 0, start + length, 1) + end
