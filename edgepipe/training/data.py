"""Dataset splits as a model sees them: token ids, labels, and a maximum length that fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from edgepipe.errors import DataError, StageError
from edgepipe.training.encode import Encoded, encode, read_rows

Indices = npt.NDArray[np.int64]
_COVERED = 0.995
_STEP = 8


@dataclass(frozen=True)
class Split:
    """One split: row i is ``encoded[i]`` with ``labels[i]``."""

    encoded: Encoded
    labels: Indices


def read_split(file: Path, tokenizer: Tokenizer, max_length: int) -> Split:
    """Every row of ``file``, streamed, cut to ``max_length``. Raises DataError when it is empty."""
    labels: list[int] = []

    def texts() -> Iterator[str]:
        for text, label in read_rows(file):
            labels.append(label)
            yield text

    encoded = encode(texts(), tokenizer, max_length)
    if not len(encoded):
        raise DataError(f"{file} has no rows")
    return Split(encoded, np.asarray(labels, np.int64))


def read_texts(file: Path) -> Iterator[str]:
    """The text of every row, streamed."""
    return (text for text, _ in read_rows(file))


def fitting_length(file: Path, tokenizer: Tokenizer, limit: int) -> int:
    """The smallest multiple of 8 tokens that holds 99.5 % of the texts whole, at most ``limit``."""
    lengths = encode(read_texts(file), tokenizer).lengths
    if not len(lengths):
        raise DataError(f"{file} has no rows")
    covering = int(np.quantile(lengths, _COVERED, method="inverted_cdf"))
    return min(-(-covering // _STEP) * _STEP, limit)


def checked_length(asked: int, limit: int) -> int:
    """``asked`` tokens. Raises StageError when the model cannot take so many."""
    if asked > limit:
        raise StageError(f"max_length = {asked}: the model takes at most {limit} tokens")
    return asked


def unknown_share(encoded: Encoded, unknown: int | None) -> float:
    """The share of tokens that the vocabulary does not have; ``unknown`` is their id."""
    if unknown is None or not len(encoded.ids):
        return 0.0
    return float((encoded.ids == unknown).mean())
