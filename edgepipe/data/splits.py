"""Validation and test splits where a dataset has none, and texts that stand in two splits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgepipe.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRAIN, VALIDATION, TEST = 0, 1, 2
_FEWEST = 2


def text_key(text: str) -> bytes:
    """Eight bytes that stand for a text; equal but for case and white space counts as equal."""
    return hashlib.blake2b(" ".join(text.lower().split()).encode(), digest_size=8).digest()


def assign(  # noqa: PLR0913 - one call, everything named
    keys: Sequence[bytes],
    labels: Sequence[int],
    names: Sequence[str],
    *,
    validation: float,
    test: float,
    seed: int,
) -> NDArray[np.int8]:
    """Which split each row goes to, ``[n]`` int8: stratified by label and seeded.

    Rows with the same text go to the same split, so that no split leaks into another.
    ``validation`` and ``test`` are shares of the different texts, at most 0.5 each; 0 makes no such
    split. Every class is in every split; raises DataError for one with too few texts for that.
    """
    _, first, group = np.unique(np.asarray(keys), return_index=True, return_inverse=True)
    strata = np.asarray(labels)[first]
    _check(strata, names, splits=1 + (validation > 0) + (test > 0))
    where = np.full(len(first), TRAIN, np.int8)
    random = np.random.default_rng(seed)
    for label in range(len(names)):
        rows = random.permutation(np.flatnonzero(strata == label))
        held_out = _count(test, rows.size, most=rows.size - 1)
        where[rows[:held_out]] = TEST
        chosen = _count(validation, rows.size, most=rows.size - held_out - 1)
        where[rows[held_out : held_out + chosen]] = VALIDATION
    return np.asarray(where[group], np.int8)


def _count(share: float, rows: int, *, most: int) -> int:
    """``share`` of a class's rows, but at least one row and at most ``most``."""
    return min(max(1, round(share * rows)), most) if share > 0 else 0


def _check(strata: NDArray[np.int64], names: Sequence[str], splits: int) -> None:
    counts = np.bincount(strata, minlength=len(names))
    for name, count in zip(names, counts, strict=True):
        if 0 < count < splits * _FEWEST:
            raise DataError(
                f"label {name!r} has {count} different texts, too few for {splits} splits of "
                f"{_FEWEST}; give it more rows, or give the split files yourself"
            )


def overlaps(keys: Mapping[str, set[bytes]]) -> dict[str, int]:
    """How many different texts two splits share, by ``duplicates A/B``."""
    splits = list(keys)
    return {
        f"duplicates {a}/{b}": len(keys[a] & keys[b])
        for n, a in enumerate(splits)
        for b in splits[n + 1 :]
    }
