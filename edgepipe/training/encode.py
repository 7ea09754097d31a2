"""Texts to token ids, kept compactly."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from edgepipe.errors import DataError, StageError

Ids = npt.NDArray[np.int32]
_CHUNK = 1024


@dataclass(frozen=True)
class Encoded:
    """Texts as token ids, special tokens included, none padded.

    ``ids`` int32 [tokens] is every text's ids end to end; text i is
    ``ids[offsets[i]:offsets[i + 1]]``, ``offsets`` int64 [texts + 1].
    """

    ids: Ids
    offsets: npt.NDArray[np.int64]
    truncated: int = 0
    """Texts that were cut."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Ids:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each text, int64 [texts]."""
        return np.diff(self.offsets)


def plain_tokenizer(folder: Path) -> Tokenizer:
    """``folder/tokenizer.json`` as it is, neither cutting nor padding. Raises StageError."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise StageError(f"{folder} holds no tokenizer.json")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises bare Exception for a damaged file
        raise StageError(f"{file} cannot be read: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encode(texts: Iterable[str], tokenizer: Tokenizer, max_length: int | None = None) -> Encoded:
    """The ids of every text, cut to ``max_length`` tokens if given. Streams ``texts``."""
    if max_length is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(max_length)
    parts, lengths, truncated = [np.empty(0, np.int32)], [0], 0
    for chunk in _chunks(texts):
        encodings = tokenizer.encode_batch_fast(chunk)
        lengths.extend(len(encoding.ids) for encoding in encodings)
        parts.extend(np.asarray(encoding.ids, np.int32) for encoding in encodings)
        truncated += sum(bool(encoding.overflowing) for encoding in encodings)
    return Encoded(np.concatenate(parts), np.cumsum(lengths, dtype=np.int64), truncated)


def padded(rows: Sequence[Ids], pad: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """``input_ids`` and ``attention_mask``, int64 [rows, longest], padded on the right."""
    longest = max(len(row) for row in rows)
    input_ids = np.full((len(rows), longest), pad, np.int64)
    mask = np.zeros((len(rows), longest), np.int64)
    for place, row in enumerate(rows):
        input_ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return input_ids, mask


def read_rows(file: Path) -> Iterator[tuple[str, int]]:
    """Text and label of every line of a dataset split, streamed. Raises DataError."""
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                yield row["text"], row["label"]
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{file}:{number}: not a row with text and label") from error


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(texts)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
