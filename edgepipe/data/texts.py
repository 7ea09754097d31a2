"""Files to texts without labels."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from edgepipe import disk
from edgepipe.artifacts import Texts
from edgepipe.data.readers import Row, require, rows, text_file, text_in
from edgepipe.errors import DataError

_LINES = ".txt"
_COLUMN = "text"
"""What the lines of a plain file are called."""


def build_texts(
    file: Path, into: Path, *, column: str, limit: int | None, skip_bad_rows: bool
) -> Texts:
    """``into`` holds ``texts.jsonl``: the texts of ``file`` in its order, the first ``limit``.

    Streamed. Raises DataError naming file and line of the first row that cannot be used, and for a
    file without any text.
    """
    source = _Source(file, column, skip_bad_rows=skip_bad_rows)
    made = Texts(path=into, rows=0)
    disk.write_bytes(made.file, source.lines(limit))
    if not source.rows:
        raise DataError(f"{file}: holds no texts")
    notes = {"rows skipped": source.skipped} if skip_bad_rows else {}
    return made.model_copy(update={"rows": source.rows, "notes": notes})


class _Source:
    """One file to JSON lines, counting as they pass."""

    def __init__(self, file: Path, column: str, *, skip_bad_rows: bool) -> None:
        self.file = file
        self.column = column
        self.skip_bad_rows = skip_bad_rows
        self.rows = 0
        self.skipped = 0

    def lines(self, limit: int | None) -> Iterator[bytes]:
        for text in itertools.islice(self.texts(), limit):
            self.rows += 1
            yield (json.dumps({"text": text}, ensure_ascii=False) + "\n").encode()

    def texts(self) -> Iterator[str]:
        plain = self.file.suffix.lower() == _LINES and self.file.is_file()
        for number, row in enumerate(_line_rows(self.file) if plain else rows(self.file)):
            if number == 0:
                require(self.file, row, [("text_column", self.column)])
            try:
                yield text_in(row, self.column)
            except DataError:
                if not self.skip_bad_rows:
                    raise
                self.skipped += 1


def _line_rows(path: Path) -> Iterator[Row]:
    """Every line that is not blank."""
    with text_file(path), path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield Row(f"{path}:{number}", {_COLUMN: line.rstrip("\n")})
