"""Which line of a TOML file a key stands on; the standard parser does not say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping

_HEADER = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(
    r"""^\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*="""
)
At = tuple[str | int, ...]


class Lines:
    """Line numbers by path of keys; a path not found falls back to its longest known beginning."""

    def __init__(self, text: str) -> None:
        self._known: dict[At, int] = {(): 1}
        for at, line in _places(text):
            for end in range(1, len(at) + 1):
                self._known.setdefault(at[:end], line)

    def of(self, at: At) -> int:
        """The line where ``at`` stands, or the nearest table that holds it."""
        while at not in self._known:
            at = at[:-1]
        return self._known[at]


def _places(text: str) -> Iterator[tuple[At, int]]:
    table: At = ()
    counts: dict[At, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _HEADER.match(line):
            table = _path(header[2])
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield table, number
        elif key := _KEY.match(line):
            yield (*table, *_path(key[1])), number
            for inner in re.findall(r"[{,]\s*([A-Za-z0-9_-]+)\s*=", line):
                yield (*table, *_path(key[1]), inner), number


def _path(dotted: str) -> At:
    """``a."b.c"`` to ("a", "b.c"), by the TOML parser itself."""
    try:
        table: object = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    path: list[str] = []
    while isinstance(table, Mapping):
        key, table = next(iter(table.items()))
        path.append(str(key))
    return tuple(path)
