"""A zip file read strictly: every byte belongs to one record, and all records agree.

Readers of zip files differ in what they make of the same bytes, and attacks live in these
differences (PyPI announced in 2025 to refuse such files; D. Fifield, "A better zip bomb", WOOT
2019). So this reader takes the plain subset that every tool writes: members one after the other
from the first byte, then the directory, then its end record; stored or deflated, no comments, one
disk. Numbers are sections of PKWARE's APPNOTE.TXT 6.3.10.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import BinaryIO

STORED, DEFLATED = 0, 8

_LOCAL = struct.Struct("<4s5H3L2H")  # 4.3.7
_DIRECTORY = struct.Struct("<4s6H3L5H2L")  # 4.3.12
_END = struct.Struct("<4s4H2LH")  # 4.3.16
_END64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
_LOCATOR = struct.Struct("<4sLQL")  # 4.3.15
_DESCRIPTOR = 24
"""Bytes of the longest data descriptor."""
_BIG, _MANY = 0xFFFFFFFF, 0xFFFF
_ZIP64, _OTHER_NAME, _AES = 0x0001, 0x7075, 0x9901
_DESCRIBED, _UTF8 = 1 << 3, 1 << 11
_FLAGS = 0b110 | _DESCRIBED | _UTF8
"""How hard deflate tried, sizes after the data, names in UTF-8: nothing else (4.4.4)."""
_DOS_FOLDER, _DOS_LINK = 0x10, 0x400
_CHUNK = 1 << 20


class StrictZipError(ValueError):
    """The file is no zip, or not one of the plain kind that this module reads."""


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold; bytes are those of the files in it."""

    members: int = 1024
    """As many files as a manifest may list, and some folders."""
    directory_bytes: int = 2 << 20
    member_bytes: int = 32 << 30
    total_bytes: int = 64 << 30
    ratio: int = 200
    """Of bytes to their bytes in the archive, beyond one MiB: of each member, and of all."""


@dataclass(frozen=True)
class Member:
    """One file or folder of the archive; a folder's name ends in a slash and it has no bytes."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    start: int
    data: int = 0
    """Offset of its first byte of content."""

    @property
    def is_folder(self) -> bool:
        """Whether it stands for a folder."""
        return self.name.endswith("/")


def members(file: BinaryIO, limits: Limits) -> list[Member]:
    """All members in the order of their bytes, each within ``limits``; StrictZipError otherwise."""
    start, length, count = _directory_place(file)
    if count > limits.members or length > limits.directory_bytes:
        raise StrictZipError(f"it has {count} members, more than anyone needs")
    listed = sorted(_listed(_read(file, start, length), count), key=lambda member: member.start)
    for member in listed:
        _check_size(member, limits)
    total = sum(member.size for member in listed)
    if total > limits.total_bytes:
        raise StrictZipError(f"its files have more than {limits.total_bytes} bytes together")
    archive = file.seek(0, 2)
    if total > limits.ratio * archive + _CHUNK:
        raise StrictZipError(f"it is a bomb: {total} bytes from {archive}")
    found = [_with_data(file, member) for member in listed]
    _check_layout(file, found, start)
    return found


def content(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """The bytes of ``member`` in chunks; StrictZipError as soon as they are not as announced."""
    file.seek(member.data)
    chunks = _inflated(file, member) if member.method == DEFLATED else _plain(file, member)
    made, crc = 0, 0
    for chunk in chunks:
        made += len(chunk)
        if made > member.size:
            raise StrictZipError(f"{member.name!r} has more bytes than announced")
        crc = zlib.crc32(chunk, crc)
        yield chunk
    if (made, crc) != (member.size, member.crc):
        raise StrictZipError(f"{member.name!r} has other bytes than announced")


def _plain(file: BinaryIO, member: Member) -> Iterator[bytes]:
    left = member.packed
    while left and (chunk := file.read(min(left, _CHUNK))):
        left -= len(chunk)
        yield chunk


def _inflated(file: BinaryIO, member: Member) -> Iterator[bytes]:
    inflate, left = zlib.decompressobj(-zlib.MAX_WBITS), member.packed
    while not inflate.eof:
        given = inflate.unconsumed_tail
        if not given:
            given = file.read(min(left, _CHUNK))
            left -= len(given)
        try:
            made = inflate.decompress(given, _CHUNK)
        except zlib.error as error:
            raise StrictZipError(f"{member.name!r} is damaged: {error}") from error
        if not made and not given:
            raise StrictZipError(f"{member.name!r} is cut short")
        yield made
    if left or inflate.unused_data:
        raise StrictZipError(f"{member.name!r} has bytes after its end")


def _directory_place(file: BinaryIO) -> tuple[int, int, int]:
    """Offset, length and number of entries of the directory, which the end record follows."""
    end = file.seek(0, 2) - _END.size
    signature, disk, first_disk, here, count, length, start, comment = _END.unpack(
        _read(file, end, _END.size)
    )
    if signature != b"PK\5\6" or comment:
        raise StrictZipError("it does not end as a zip without a comment does")
    if end >= _LOCATOR.size and _read(file, end - _LOCATOR.size, 4) == b"PK\6\7":
        record = _directory_place64(file, end - _LOCATOR.size)
        shown = zip((here, count, length, start), (_MANY, _MANY, _BIG, _BIG), record, strict=True)
        if any(value not in {most, real} for value, most, real in shown):
            raise StrictZipError("its two end records disagree")
        end -= _LOCATOR.size + _END64.size
        here, count, length, start = record
    if disk or first_disk or here != count:
        raise StrictZipError("it is one of several disks")
    if start + length != end:
        raise StrictZipError("there are bytes before or after it, or its directory is misplaced")
    return start, length, count


def _directory_place64(file: BinaryIO, place: int) -> tuple[int, int, int, int]:
    """Entries here and in all, length and offset, by the zip64 record just before ``place``."""
    _, disk, record, disks = _LOCATOR.unpack(_read(file, place, _LOCATOR.size))
    if (disk, record, disks) != (0, place - _END64.size, 1):
        raise StrictZipError("its zip64 end record is not where it belongs")
    signature, size, _, _, disk, first_disk, here, count, length, start = _END64.unpack(
        _read(file, record, _END64.size)
    )
    if (signature, size, disk, first_disk) != (b"PK\6\6", _END64.size - 12, 0, 0):
        raise StrictZipError("its zip64 end record is damaged")
    return here, count, length, start


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    if not 0 <= start <= file.seek(0, 2) - length:
        raise StrictZipError("it is cut short")
    file.seek(start)
    return file.read(length)


def _listed(directory: bytes, count: int) -> Iterator[Member]:
    """What the directory says; it holds ``count`` entries and nothing else."""
    at = 0
    for _ in range(count):
        if at + _DIRECTORY.size > len(directory):
            raise StrictZipError("its directory has fewer entries than announced")
        member, at = _entry(directory, at)
        yield member
    if at != len(directory):
        raise StrictZipError("its directory has more in it than the entries announced")


def _entry(directory: bytes, at: int) -> tuple[Member, int]:
    """The entry at ``at`` and where the next one starts."""
    fields = _DIRECTORY.unpack_from(directory, at)
    signature, _, _, flags, method, _, _, crc, packed, size = fields[:10]
    name_length, extra_length, comment, disk, _, attributes, start = fields[10:]
    middle = at + _DIRECTORY.size + name_length
    end = middle + extra_length
    if signature != b"PK\1\2" or end > len(directory) or comment or disk:
        raise StrictZipError("its directory is damaged, has comments, or names other disks")
    raw = directory[middle - name_length : middle]
    name = _decoded(raw, flags)
    size, packed, start = _zip64(name, directory[middle:end], (size, packed, start))
    made = Member(name, raw, flags, method, crc, packed, size, start)
    _check_kind(made, attributes)
    return made, end


def _decoded(raw: bytes, flags: int) -> str:
    try:
        return raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError as error:
        raise StrictZipError(f"the name {raw!r} is not in UTF-8, or not marked so") from error


def _zip64(name: str, extra: bytes, values: Sequence[int]) -> list[int]:
    """``values`` with those that did not fit in 32 bits taken from the extra field (4.5.3)."""
    known = _extra_fields(name, extra)
    big = sum(value == _BIG for value in values)
    found = known.get(_ZIP64, b"")
    if len(found) != 8 * big:
        raise StrictZipError(f"{name!r} has a zip64 field that does not fit")
    large = iter(struct.unpack(f"<{big}Q", found))
    return [next(large) if value == _BIG else value for value in values]


def _extra_fields(name: str, extra: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(extra):
        kind, length = struct.unpack("<2H", extra[at : at + 4].ljust(4, b"\xff"))
        at += 4 + length
        if at > len(extra) or kind in found or kind in {_OTHER_NAME, _AES}:
            raise StrictZipError(f"{name!r} has an extra field that is damaged, doubled or unsafe")
        found[kind] = extra[at - length : at]
    return found


def _check_kind(member: Member, attributes: int) -> None:
    """A plain file or a folder, stored or deflated, in the clear."""
    kind = stat.S_IFMT(attributes >> 16)
    wanted = stat.S_IFDIR if member.is_folder else stat.S_IFREG
    dos_folder = bool(attributes & _DOS_FOLDER) and not member.is_folder
    for wrong, what in (
        (member.flags & ~_FLAGS, "is encrypted, patched or of a kind never seen"),
        (member.method not in {STORED, DEFLATED}, f"is compressed by method {member.method}"),
        (kind not in {0, wanted}, "is a link or a device, or a folder and a file at once"),
        (dos_folder, "is a folder and a file at once"),
        (attributes & _DOS_LINK, "is a link"),
        (member.is_folder and (member.size or member.packed), "is a folder with content"),
        (member.method == STORED and member.size != member.packed, "is stored in other bytes"),
    ):
        if wrong:
            raise StrictZipError(f"{member.name!r} {what}")


def _check_size(member: Member, limits: Limits) -> None:
    if member.size > limits.member_bytes:
        raise StrictZipError(f"{member.name!r} has more than {limits.member_bytes} bytes")
    if member.size > limits.ratio * member.packed + _CHUNK:
        raise StrictZipError(f"{member.name!r} is a bomb: {member.size} bytes from {member.packed}")


def _with_data(file: BinaryIO, member: Member) -> Member:
    """``member`` with the place of its content, once its own header agrees with the directory."""
    fields = _LOCAL.unpack(_read(file, member.start, _LOCAL.size))
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = fields
    rest = _read(file, member.start + _LOCAL.size, name_length + extra_length)
    if (signature, flags, method, rest[:name_length]) != (
        b"PK\3\4", member.flags, member.method, member.raw_name,
    ):  # fmt: skip
        raise StrictZipError(f"{member.name!r} is not what the directory says it is")
    size, packed = _zip64(member.name, rest[name_length:], (size, packed))
    told, known = (crc, packed, size), (member.crc, member.packed, member.size)
    later = bool(flags & _DESCRIBED)
    if any(t != k and not (later and t == 0) for t, k in zip(told, known, strict=True)):
        raise StrictZipError(f"{member.name!r} has other sizes than the directory says")
    return replace(member, data=member.start + _LOCAL.size + len(rest))


def _check_layout(file: BinaryIO, found: Sequence[Member], directory: int) -> None:
    """Members follow one another from the first byte up to the directory."""
    if (found[0].start if found else directory) != 0:
        raise StrictZipError("there are bytes before its first member")
    starts = [*(member.start for member in found), directory]
    for member, (_, following) in zip(found, pairwise(starts), strict=True):
        end = member.data + member.packed
        fits = 0 <= following - end <= _DESCRIPTOR
        if not fits or _read(file, end, following - end) not in _descriptors(member):
            raise StrictZipError(f"{member.name!r} overlaps another or has bytes after it")


def _descriptors(member: Member) -> set[bytes]:
    """What may follow the content: nothing, or its sum and sizes in one of four ways (4.3.9)."""
    if not member.flags & _DESCRIBED:
        return {b""}
    sizes = (member.crc, member.packed, member.size)
    short = struct.pack("<3L", *sizes) if max(sizes) <= _BIG else b""
    made = {short, struct.pack("<L2Q", *sizes)} - {b""}
    return made | {b"PK\7\10" + one for one in made}
