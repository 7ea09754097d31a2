"""Archives with members that nobody should write to a disk, because of their names or kinds."""

from __future__ import annotations

import stat
import unicodedata
from collections.abc import Callable
from typing import Any

from tests.bundle.zips import (
    DOS,
    FOLDER,
    UTF8,
    VICTIM,
    Case,
    Entry,
    Files,
    adding,
    build,
    but,
    extra,
    sound,
)


def _named(name: str | bytes, **changes: Any) -> Callable[[Files], bytes]:
    raw = name if isinstance(name, bytes) else name.encode()
    flags = 0 if raw.isascii() else UTF8
    return adding(Entry(raw, b"evil", **{"flags": flags, **changes}))


NAMES: dict[str, Case] = {
    "parent": (_named("../evil"), "no plain relative path"),
    "parent in the middle": (_named("onnx/../../evil"), "no plain relative path"),
    "parent that comes back": (_named("onnx/../evil"), "no plain relative path"),
    "absolute": (_named("/tmp/evil"), "no plain relative path"),  # noqa: S108
    "network share": (_named("//host/evil"), "no plain relative path"),
    "dot": (_named("./evil"), "no plain relative path"),
    "two slashes": (_named("onnx//evil"), "no plain relative path"),
    "only dots": (_named(".."), "no plain relative path"),
    "empty name": (_named(""), "no plain relative path"),
    "root folder": (adding(Entry(b"/", attributes=FOLDER)), "no plain relative path"),
    "parent folder": (adding(Entry(b"../", attributes=FOLDER)), "no plain relative path"),
    "backslash parent": (_named("..\\evil"), "Windows"),
    "backslash": (_named("onnx\\evil"), "Windows"),
    "drive": (_named("C:/evil"), "Windows"),
    "drive-relative": (_named("C:evil"), "Windows"),
    "alternate stream": (_named("tokenizer.json:evil"), "Windows"),
    "wildcard": (_named("*"), "Windows"),
    "device": (_named("CON"), "device on Windows"),
    "device with suffix": (_named("nul.txt"), "device on Windows"),
    "device as folder": (_named("COM1/evil"), "device on Windows"),
    "trailing dot": (_named("tokenizer.json."), "dot or a space"),
    "trailing space": (_named("tokenizer.json "), "dot or a space"),
    "NUL": (_named("tokenizer.json\0.txt"), "unprintable"),
    "newline": (_named("a\nb"), "unprintable"),
    "escape sequence": (_named("\x1b[2Jevil"), "unprintable"),
    "C1 control": (_named("a\x85b"), "unprintable"),
    "right-to-left override": (_named("evil\u202egnp.exe"), "unprintable"),
    "zero-width space": (_named("token\u200bizer.json"), "unprintable"),
    "line separator": (_named("a\u2028b"), "unprintable"),
    "long name": (_named("x" * 201), "too long"),
    "longer than the disk takes": (_named("x" * 65_535), "too long"),
    "deep nesting": (_named("d/" * 5_000 + "evil"), "too long"),
    "deeper than anyone needs": (_named("d/" * 16 + "evil"), "more than 16 names deep"),
    "not UTF-8": (_named(b"\xff\xfe", flags=UTF8), "not in UTF-8"),
    "overlong slash": (_named(b"..\xc0\xafevil", flags=UTF8), "not in UTF-8"),
    "surrogate": (_named(b"\xed\xa0\x80", flags=UTF8), "not in UTF-8"),
    "unmarked code page": (_named("naïve".encode("cp437"), flags=0), "not marked"),
    "twice": (adding(Entry(VICTIM.encode(), b"evil")), "twice"),
    "twice by case": (_named("Tokenizer.JSON"), "clashes"),
    "manifest by case": (_named("EDGEPIPE.json"), "clashes"),
    "folder by case": (_named("ONNX/evil"), "clashes"),
    "file where a folder is": (_named("onnx"), "clashes"),
    "folder where a file is": (_named("tokenizer.json/evil"), "clashes"),
    "full-width letters": (_named("\uff54okenizer.json"), "clashes"),
    "two normal forms": (
        adding(
            Entry(unicodedata.normalize("NFC", "é").encode(), b"1", flags=UTF8),
            Entry(unicodedata.normalize("NFD", "é").encode(), b"2", flags=UTF8),
        ),
        "clashes",
    ),
    "folder twice": (adding(*[Entry(b"onnx/", attributes=FOLDER)] * 2), "twice"),
    "empty folder": (adding(Entry(b"evil/", attributes=FOLDER)), "nothing in it"),
    "another name in an extra field": (but(extra=extra(0x7075, b"\1\0\0\0\0evil")), "extra field"),
}


def _mode(kind: int) -> int:
    return (kind | 0o777) << 16


KINDS: dict[str, Case] = {
    "link": (but(attributes=_mode(stat.S_IFLNK)), "link"),
    "link that says it is from DOS": (but(attributes=_mode(stat.S_IFLNK), system=DOS), "link"),
    "link as folder": (
        lambda files: build([Entry(b"onnx/", attributes=_mode(stat.S_IFLNK)), *sound(files)]),
        "link",
    ),
    "link out, then a file through it": (
        lambda files: build(
            [
                Entry(b"out", b"..", attributes=_mode(stat.S_IFLNK)),
                Entry(b"out/evil", b"evil"),
                *sound(files),
            ]
        ),
        "link",
    ),
    "reparse point": (but(attributes=0x400, system=DOS), "link"),
    "character device": (but(attributes=_mode(stat.S_IFCHR)), "device"),
    "block device": (but(attributes=_mode(stat.S_IFBLK)), "device"),
    "pipe": (but(attributes=_mode(stat.S_IFIFO)), "device"),
    "socket": (but(attributes=_mode(stat.S_IFSOCK)), "device"),
    "folder without a slash": (but(attributes=FOLDER), "folder and a file"),
    "DOS folder without a slash": (but(attributes=0x10, system=DOS), "folder and a file"),
    "file with a slash": (adding(Entry(b"onnx/")), "folder and a file"),
    "folder with content": (adding(Entry(b"onnx/", b"evil", attributes=FOLDER)), "with content"),
    "encrypted": (but(flags=1), "encrypted"),
    "strongly encrypted": (but(flags=1 | 1 << 6), "encrypted"),
    "masked headers": (but(flags=1 << 13), "encrypted"),
    "patch": (but(flags=1 << 5), "encrypted"),
    "unknown flag": (but(flags=1 << 15), "encrypted"),
    "AES field": (but(extra=extra(0x9901, b"\2\0AE\3\0\0")), "extra field"),
    **{
        f"method {method}": (but(method=method), f"method {method}")
        for method in (1, 6, 9, 12, 14, 93, 95, 97, 99, 65_535)
    },
}
