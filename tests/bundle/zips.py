"""Zip files written byte by byte, so that every field of them can lie (PKWARE APPNOTE.TXT)."""

from __future__ import annotations

import hashlib
import stat
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

FILE = (stat.S_IFREG | 0o644) << 16
FOLDER = (stat.S_IFDIR | 0o755) << 16 | 0x10
UNIX, DOS = 3 << 8, 0
DEFLATED, DESCRIBED, UTF8 = 8, 1 << 3, 1 << 11
BIG, MANY = 0xFFFFFFFF, 0xFFFF
Files = Mapping[str, bytes]
Case = tuple[Callable[[Files], bytes], str]
VICTIM = "tokenizer.json"
MEBIBYTE = 1 << 20


def deflated(data: bytes) -> bytes:
    made = zlib.compressobj(9, zlib.DEFLATED, -15)
    return made.compress(data) + made.flush()


def extra(kind: int, data: bytes) -> bytes:
    return struct.pack("<2H", kind, len(data)) + data


def zip64(*values: int) -> bytes:
    return extra(1, struct.pack(f"<{len(values)}Q", *values))


@dataclass(frozen=True)
class Entry:
    """A member that is sound unless told otherwise; ``local`` replaces fields of its own header."""

    name: bytes
    data: bytes = b""
    method: int = 0
    flags: int = 0
    system: int = UNIX
    attributes: int = FILE
    body: bytes | None = None
    """What lies in the archive in place of ``data``, stored or deflated."""
    crc: int | None = None
    packed: int | None = None
    size: int | None = None
    extra: bytes = b""
    comment: bytes = b""
    disk: int = 0
    start: int | None = None
    after: bytes = b""
    local: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> bytes:
        if self.body is not None:
            return self.body
        return deflated(self.data) if self.method == DEFLATED else self.data

    def sums(self) -> dict[str, int]:
        found = {"crc": zlib.crc32(self.data), "packed": len(self.bytes), "size": len(self.data)}
        told = {"crc": self.crc, "packed": self.packed, "size": self.size}
        return found | {key: value for key, value in told.items() if value is not None}

    def header(self) -> bytes:
        said: dict[str, Any] = {
            "signature": b"PK\3\4", "flags": self.flags, "method": self.method, "name": self.name,
            "extra": b"", **self.sums(), **self.local,
        }  # fmt: skip
        return struct.pack(
            "<4s5H3L2H", said["signature"], 20, said["flags"], said["method"], 0, 33,
            said["crc"], said["packed"], said["size"], len(said["name"]), len(said["extra"]),
        ) + said["name"] + said["extra"]  # fmt: skip

    def listed(self, start: int) -> bytes:
        sums = self.sums()
        place = start if self.start is None else self.start
        return struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", self.system | 20, 20, self.flags, self.method, 0, 33,
            sums["crc"], sums["packed"], sums["size"], len(self.name), len(self.extra),
            len(self.comment), self.disk, 0, self.attributes, place,
        ) + self.name + self.extra + self.comment  # fmt: skip


@dataclass(frozen=True)
class End:
    """The end records; None is the truth."""

    count: int | None = None
    here: int | None = None
    length: int | None = None
    start: int | None = None
    disk: int = 0
    first_disk: int = 0
    comment: bytes = b""
    comment_length: int | None = None
    zip64: Mapping[str, int] | None = None
    """Fields of the zip64 records that lie; an empty mapping: zip64 records that tell the truth."""

    def record(self, count: int, length: int, start: int) -> bytes:
        real = {"count": count, "here": count, "length": length, "start": start}
        told = {k: v for k, v in vars(self).items() if k in real and v is not None}
        if self.zip64 is None:
            return self._short({**real, **told})
        said = {
            **real, "disk": 0, "record_size": 44, "place": start + length, "disks": 1, **self.zip64,
        }  # fmt: skip
        long = struct.pack(
            "<4sQ2H2L4Q", b"PK\6\6", said["record_size"], 45, 45, said["disk"], 0,
            said["here"], said["count"], said["length"], said["start"],
        )  # fmt: skip
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, said["place"], said["disks"])
        most = {"count": MANY, "here": MANY, "length": BIG, "start": BIG}
        return long + locator + self._short({**most, **told})

    def _short(self, said: Mapping[str, int]) -> bytes:
        return struct.pack(
            "<4s4H2LH", b"PK\5\6", self.disk, self.first_disk, said["here"], said["count"],
            said["length"], said["start"],
            len(self.comment) if self.comment_length is None else self.comment_length,
        ) + self.comment  # fmt: skip


def build(
    entries: Iterable[Entry],
    end: End = End(),
    *,
    before: bytes = b"",
    gap: bytes = b"",
    shift: int = 0,
) -> bytes:
    """``shift`` is added to every offset, ``gap`` stands before the directory."""
    made, directory = bytearray(before), b""
    for entry in entries:
        directory += entry.listed(len(made) + shift)
        made += entry.header() + entry.bytes + entry.after
    made += gap
    count = directory.count(b"PK\1\2")
    return bytes(made) + directory + end.record(count, len(directory), len(made) + shift)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of ``folder`` with its bytes, by POSIX name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def sound(files: Files, **changes: Any) -> list[Entry]:
    return [Entry(name.encode(), data, **changes) for name, data in files.items()]


def adding(*added: Entry) -> Callable[[Files], bytes]:
    """A sound bundle and some members more."""
    return lambda files: build([*sound(files), *added])


def but(**changes: Any) -> Callable[[Files], bytes]:
    """A sound bundle but for one member."""
    return lambda files: build(changed(files, lambda entry: replace(entry, **changes)))


def changed(files: Files, change: Callable[[Entry], Entry]) -> list[Entry]:
    return [change(e) if e.name == VICTIM.encode() else e for e in sound(files)]


def lay(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def snapshot(root: Path) -> dict[str, tuple[int, str]]:
    """Everything below ``root``: mode, and where it is a file its content."""
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mode,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in root.rglob("*")
    }
