"""Archives that nobody should unpack, each with a word that the refusal has to hold.

All but the fields that lie are a sound bundle, which the tests unpack as a control.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.bundle.hostile_names import KINDS, NAMES
from tests.bundle.zips import (
    BIG,
    DEFLATED,
    DESCRIBED,
    MANY,
    MEBIBYTE,
    UTF8,
    VICTIM,
    Case,
    End,
    Entry,
    Files,
    adding,
    build,
    but,
    changed,
    deflated,
    extra,
    sound,
    zip64,
)


def _ending(end: End, **changes: Any) -> Callable[[Files], bytes]:
    return lambda files: build(sound(files), end, **changes)


def _manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Files], bytes]:
    """A sound bundle whose manifest was changed."""

    def made(files: Files) -> bytes:
        manifest = json.loads(files["edgepipe.json"])
        change(manifest)
        return build(sound({**files, "edgepipe.json": json.dumps(manifest).encode()}))

    return made


def _lying(crc: int = 0, packed: int = 0, size: int = 0) -> Callable[[Files], bytes]:
    """The manifest, deflated, and its headers, both of them, off by so much."""

    def change(entry: Entry) -> Entry:
        if entry.name != b"edgepipe.json":
            return entry
        honest = replace(entry, method=DEFLATED).sums()
        return replace(
            entry,
            method=DEFLATED,
            crc=honest["crc"] ^ crc,
            packed=honest["packed"] + packed,
            size=honest["size"] + size,
        )

    return lambda files: build([change(entry) for entry in sound(files)])


def _packed(change: Callable[[bytes], bytes]) -> Callable[[Files], bytes]:
    """A deflated member with other packed bytes, of which the headers tell the right number."""
    return lambda files: build(
        changed(files, lambda e: replace(e, method=DEFLATED, body=change(deflated(e.data))))
    )


def _local(**changes: Any) -> Callable[[Files], bytes]:
    return but(local=changes)


def _described(descriptor: Callable[[Entry], bytes]) -> Callable[[Files], bytes]:
    def change(entry: Entry) -> Entry:
        return replace(
            entry,
            flags=DESCRIBED,
            local={"crc": 0, "packed": 0, "size": 0},
            after=descriptor(entry),
        )

    return lambda files: build(changed(files, change))


def _claiming(*sizes: int) -> Callable[[Files], bytes]:
    """Members that say, in zip64 fields, that they are stored and huge."""
    huge = [
        Entry(b"huge%d" % n, packed=BIG, size=BIG, extra=zip64(size, size))
        for n, size in enumerate(sizes)
    ]
    return adding(*huge)


def _bomb(announced: int) -> Callable[[Files], bytes]:
    """64 MiB as a signature, which no manifest has to list."""
    data = bytes(64 * MEBIBYTE)
    bomb = Entry(b"model.sig", data, method=DEFLATED, body=deflated(data), size=announced)
    return adding(bomb)


def _many_small_bombs(files: Files) -> bytes:
    """Each of one MiB, which the ratio of a member lets through: together 60 MiB from 80 KB."""
    zeros = bytes(MEBIBYTE)
    body = deflated(zeros)
    return build(
        [
            *sound(files),
            *(Entry(b"%d" % n, zeros, method=DEFLATED, body=body) for n in range(60)),
        ]
    )


def _chunk_and_more(files: Files) -> bytes:
    """Sixteen deflate blocks, stored, of exactly one MiB together (RFC 1951, 3.2.4), then more."""
    size = MEBIBYTE // 16 - 5
    block = struct.pack("<2H", size, size ^ 0xFFFF) + bytes(size)
    body = b"".join(bytes([n == 15]) + block for n in range(16)) + b"evil"
    made = Entry(b"model.sig", bytes(size * 16), method=DEFLATED, body=body)
    return build([*sound(files), made])


def _quoted(files: Files) -> bytes:
    """Fifield's overlap: the first member's content is the second one, header and all."""
    inner = Entry(b"inner", bytes(1000))
    whole = inner.header() + inner.bytes
    outer = Entry(b"outer", whole)
    start = sum(len(e.header()) + len(e.bytes) for e in sound(files)) + len(outer.header())
    hidden = replace(inner, start=start)
    made = build([*sound(files), outer])
    split = made.rindex(b"PK\5\6")
    directory = sum(len(e.listed(0)) for e in [*sound(files), outer])
    added = hidden.listed(start)
    end = End().record(len(files) + 2, directory + len(added), split - directory)
    return made[:split] + added + end


def _same_place(files: Files) -> bytes:
    """Two names for the bytes of one member."""
    first = sound(files)[0]
    return build([*sound(files), Entry(b"again", first.data, start=0, local={"name": first.name})])


SIZES: dict[str, Case] = {
    "more bytes than announced": (_lying(size=-1), "more bytes than announced"),
    "far more bytes than announced": (_lying(size=-100), "more bytes than announced"),
    "fewer bytes than announced": (_lying(size=1), "other bytes than announced"),
    "wrong sum": (_lying(crc=1), "other bytes than announced"),
    "packed size too small": (_lying(packed=-1), "overlaps|after it"),
    "packed size too large": (_lying(packed=1), "overlaps|after it|what the directory says"),
    "cut short": (_packed(lambda made: made[:-5]), "cut short|damaged"),
    "no deflate": (_packed(lambda made: b"\xff" * len(made)), "damaged"),
    "empty deflate": (_packed(lambda _: b""), "cut short"),
    "bytes behind the deflate stream": (_packed(lambda made: made + b"evil"), "after its end"),
    "bytes behind a deflate stream that fills a chunk": (_chunk_and_more, "after its end"),
    "many small bombs": (_many_small_bombs, "it is a bomb"),
    "two deflate streams": (_packed(lambda made: made + made), "after its end"),
    "stored in other bytes": (but(size=3), "stored in other bytes"),
    "own header: name": (_local(name=b"tokenizer.jsoN"), "not what the directory says"),
    "own header: parent": (_local(name=b"../../../evil!"), "not what the directory says"),
    "own header: shorter name": (_local(name=b"t"), "not what the directory says"),
    "own header: method": (_local(method=DEFLATED), "not what the directory says"),
    "own header: flags": (_local(flags=UTF8), "not what the directory says"),
    "own header: signature": (_local(signature=b"PK\3\3"), "not what the directory says"),
    "own header: size": (_local(size=1), "other sizes"),
    "own header: packed size": (_local(packed=1), "other sizes"),
    "own header: sum": (_local(crc=1), "other sizes"),
    "own header: size nought": (_local(size=0), "other sizes"),
    "own header: zip64": (_local(size=BIG, packed=BIG, extra=zip64(1, 1)), "other sizes"),
    "own header: zip64 missing": (_local(size=BIG, packed=BIG), "zip64 field"),
    "zip64 field for nothing": (but(extra=zip64(1)), "zip64 field"),
    "zip64 field twice": (but(size=BIG, packed=BIG, extra=zip64(9, 9) * 2), "extra field"),
    "zip64 field cut": (but(size=BIG, extra=extra(1, b"1234")), "zip64 field"),
    "extra field cut": (but(extra=b"\1"), "extra field"),
    "extra field beyond itself": (but(extra=struct.pack("<2H", 9, 500)), "extra field"),
    "descriptor lies": (_described(lambda e: struct.pack("<3L", 1, 2, 3)), "after it"),
    "descriptor missing": (_described(lambda _: b""), "after it"),
    "descriptor too long": (
        _described(lambda e: struct.pack("<3L", *e.sums().values()) + b"evil"), "after it",
    ),
    "bytes between members": (but(after=b"evil"), "after it"),
    "a bomb": (_bomb(64 * MEBIBYTE), "bomb"),
    "a bomb that says it is small": (_bomb(100), "more bytes than announced"),
    "larger than anything": (_claiming(1 << 62), "more than"),
    "larger than a member may be": (_claiming(33 << 30), "more than"),
    "larger together": (_claiming(30 << 30, 30 << 30, 30 << 30), "together"),
    "overlapping by quoting": (_quoted, "overlaps"),
    "two members in one place": (_same_place, "not what the directory says|overlaps"),
    "member beyond the end": (but(start=1 << 30), "cut short"),
    "member inside the directory": (but(start=2_000), "not what the directory says|cut short"),
    "offset in 64 bits": (but(start=BIG, extra=zip64(1 << 63)), "cut short"),
}  # fmt: skip


def _two(files: Files) -> bytes:
    """A zip after a zip; readers that search from the front see the first one."""
    return build(sound(files)) + build(sound(files))


def _fake_end(files: Files) -> bytes:
    """The comment looks like an end record of another directory."""
    return build(sound(files), End(comment=End().record(0, 0, 0)))


def _cut(count: int) -> Callable[[Files], bytes]:
    return lambda files: build(sound(files))[:-count]


def _entry_patched(place: int, value: bytes) -> Callable[[Files], bytes]:
    """The last entry of the directory with other bytes at ``place``."""

    def made(files: Files) -> bytes:
        data = build(sound(files))
        at = data.rindex(b"PK\1\2") + place
        return data[:at] + value + data[at + len(value) :]

    return made


def _hidden(files: Files) -> bytes:
    """The last member is in no directory."""
    secret = Entry(b"evil", b"evil")
    return build(sound(files), gap=secret.header() + secret.bytes)


WHOLE: dict[str, Case] = {
    "nothing at all": (lambda _: b"", "cut short"),
    "a text": (lambda _: b"not a zip" * 100, "does not end as"),
    "a gzip": (lambda files: zlib.compress(files[VICTIM], wbits=31), "does not end as"),
    "an empty zip": (lambda _: build([]), "no edgepipe.json"),
    "a spanned empty zip": (lambda _: b"PK\7\10" + build([]), "before or after"),
    "one byte short": (_cut(1), "does not end as"),
    "half": (_cut(600), "does not end as"),
    "one byte more": (lambda files: build(sound(files)) + b"\0", "does not end as"),
    "a line more": (lambda files: build(sound(files)) + b"\n", "does not end as"),
    "a second end record": (lambda files: build(sound(files)) + End().record(0, 0, 0), "before or"),
    "a program before it": (lambda files: b"#!/bin/sh\n" + build(sound(files)), "before or after"),
    "a program before it, counted": (_ending(End(), before=b"#!/bin/sh\n"), "before its first"),
    "a zip after a zip": (_two, "before or after"),
    "comment": (_ending(End(comment=b"hello")), "does not end as"),
    "comment announced that is not there": (_ending(End(comment_length=9)), "does not end as"),
    "comment that is an end record": (_fake_end, "before or after"),
    "comment of a member": (but(comment=b"hello"), "comments"),
    "member on another disk": (but(disk=1), "disks"),
    "second disk": (_ending(End(disk=1)), "disks"),
    "directory on a second disk": (_ending(End(first_disk=1)), "disks"),
    "directory without its signature": (_entry_patched(0, b"PK\1\3"), "directory is damaged"),
    "directory entry that is too long": (_entry_patched(30, b"\xff\1"), "directory is damaged"),
    "half of it on another disk": (_ending(End(here=1)), "disks"),
    "too few entries announced": (_ending(End(count=1, here=1)), "more in it"),
    "no entries announced": (_ending(End(count=0, here=0)), "more in it"),
    "too many entries announced": (_ending(End(count=9, here=9)), "fewer entries"),
    "65,535 entries announced": (_ending(End(count=MANY, here=MANY)), "more than anyone"),
    "directory elsewhere": (_ending(End(start=4)), "misplaced"),
    "directory too short": (_ending(End(length=46)), "misplaced"),
    "directory beyond the end": (_ending(End(start=BIG, length=BIG)), "misplaced"),
    "offsets off by four": (_ending(End(), shift=4), "misplaced"),
    "bytes before the directory": (_ending(End(), gap=b"evil"), "after it"),
    "member that is in no directory": (_hidden, "after it"),
    "zip64: other count": (_ending(End(zip64={"count": 1, "here": 1})), "more in it"),
    "zip64: the short record disagrees": (_ending(End(count=1, zip64={})), "disagree"),
    "zip64: record elsewhere": (_ending(End(zip64={"place": 0})), "where it belongs"),
    "zip64: record with more in it": (_ending(End(zip64={"record_size": 45})), "damaged"),
    "zip64: second disk": (_ending(End(zip64={"disk": 1})), "damaged"),
    "zip64: two disks": (_ending(End(zip64={"disks": 2})), "where it belongs"),
    "zip64: directory past the end": (_ending(End(zip64={"start": 1 << 63})), "misplaced"),
    "zip64: all the entries there are": (
        _ending(End(zip64={"count": 1 << 63, "here": 1 << 63})), "more than anyone",
    ),
    "1,025 members": (adding(*(Entry(b"%d" % n) for n in range(1025))), "more than anyone"),
}  # fmt: skip


def _without(name: str) -> Callable[[Files], bytes]:
    return lambda files: build(sound({k: v for k, v in files.items() if k != name}))


def _replaced(name: str, content: bytes) -> Callable[[Files], bytes]:
    return lambda files: build(sound({**files, name: content}))


def _flipped(files: Files) -> bytes:
    data = bytearray(files[VICTIM])
    data[10] ^= 1
    return build(sound({**files, VICTIM: bytes(data)}))


def _outside(manifest: dict[str, Any]) -> None:
    manifest["files"]["../evil"] = {"bytes": 0, "sha256": "0" * 64}


def _twin(manifest: dict[str, Any]) -> None:
    manifest["files"]["Tokenizer.json"] = manifest["files"]["tokenizer.json"]


def _deep(files: Files) -> bytes:
    depth = 100_000
    return build(sound({**files, "edgepipe.json": b'{"schema":' + b"[" * depth + b"]" * depth}))


MANIFESTS: dict[str, Case] = {
    "no manifest": (_without("edgepipe.json"), "no edgepipe.json"),
    "in a folder": (
        lambda files: build(sound({f"bundle/{k}": v for k, v in files.items()})),
        "zip what is in the folder",
    ),
    "manifest as a folder": (
        lambda files: build(
            [
                Entry(b"edgepipe.json/x"),
                *sound({k: v for k, v in files.items() if k != "edgepipe.json"}),
            ]
        ),
        "no edgepipe.json",
    ),
    "file missing": (_without(VICTIM), "missing, extra or cut"),
    "file too many": (adding(Entry(b"evil", b"evil")), "missing, extra or cut"),
    "hidden file": (adding(Entry(b".evil", b"evil")), "missing, extra or cut"),
    "file of another size": (_replaced(VICTIM, b"{}"), "missing, extra or cut"),
    "file with one bit flipped": (_flipped, "has changed"),
    "manifest is no JSON": (_replaced("edgepipe.json", b"{"), "damaged"),
    "manifest is no UTF-8": (_replaced("edgepipe.json", b"\xff"), "damaged"),
    "manifest is a list": (_replaced("edgepipe.json", b"[]"), "damaged"),
    "manifest is empty": (_replaced("edgepipe.json", b""), "damaged"),
    "manifest is nested too deeply": (_deep, "damaged|deeply"),
    "manifest is too large": (_replaced("edgepipe.json", b" " * 17 * MEBIBYTE), "larger than"),
    "signature is too large": (
        lambda files: build([*sound(files), Entry(b"model.sig", bytes(17 * MEBIBYTE))]),
        "larger than",
    ),
    "signature by case": (adding(Entry(b"Model.sig", b"{}")), "missing, extra or cut"),
    "manifest of the future": (_manifest(lambda m: m.update(schema=99)), "schema 99"),
    "manifest without files": (_manifest(lambda m: m.pop("files")), "files"),
    "manifest with a name outside": (_manifest(_outside), "outside"),
    "manifest with a name twice by case": (_manifest(_twin), "missing, extra or cut"),
}

CASES: dict[str, Case] = {
    f"{kind}: {name}": case
    for kind, cases in (
        ("name", NAMES), ("kind", KINDS), ("size", SIZES), ("whole", WHOLE),
        ("manifest", MANIFESTS),
    )
    for name, case in cases.items()
}  # fmt: skip
