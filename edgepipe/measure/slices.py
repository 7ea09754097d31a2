"""A split cut into parts: by length, by label, or by a column that the data keeps."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from edgepipe.artifacts import Dataset, Split
from edgepipe.measure.records import Ints, SliceBy, packed
from edgepipe.measure.texts import column

LENGTH = "length"
LABEL = "label"
PARTS = 4
"""Ranges of length, at most."""
VALUES = 20
"""Values of a column that get a part of their own."""
_REST = "other"
_NOTHING = "(none)"


def slices(
    ways: Sequence[str], data: Dataset, split: Split, *, truth: Ints, lengths: Ints
) -> tuple[SliceBy, ...]:
    """The split cut in each of ``ways``; ``truth`` and ``lengths`` in tokens: int64 [texts]."""
    found = {LENGTH: lambda: by_length(lengths), LABEL: lambda: by_label(truth, data.labels)}
    return tuple(
        found[way]() if way in found else by_value(way, column(data, split, way)) for way in ways
    )


def by_length(lengths: Ints) -> SliceBy:
    """Up to four ranges of length, with about as many texts in each as equal lengths allow."""
    shares = np.arange(1, PARTS + 1) / PARTS
    highest = np.unique(np.quantile(lengths, shares, method="inverted_cdf"))
    parts = np.searchsorted(highest, lengths, side="left")
    names = [_range(lengths[parts == part]) for part in range(len(highest))]
    return SliceBy(by=LENGTH, names=tuple(names), parts=packed(parts))


def _range(lengths: Ints) -> str:
    low, high = int(lengths.min()), int(lengths.max())
    return f"{low} to {high} tokens" if low < high else f"{low} tokens"


def by_label(truth: Ints, labels: Sequence[str]) -> SliceBy:
    """A part for each label that occurs, in the order of the labels."""
    present, parts = np.unique(truth, return_inverse=True)
    names = tuple(labels[label] for label in present)
    return SliceBy(by=LABEL, names=names, parts=packed(parts))


def by_value(name: str, values: Iterable[str]) -> SliceBy:
    """A part for each of the 20 most frequent ``values``, the most frequent first, and the rest.

    Equally frequent ones in the order of their first text.
    """
    codes: dict[str, int] = {}
    column_of_codes = array("q", (codes.setdefault(value, len(codes)) for value in values))
    written = list(codes)
    frequent = [code for code, _ in Counter(column_of_codes).most_common(VALUES)]
    parts = np.full(len(codes), len(frequent), np.int64)
    parts[frequent] = np.arange(len(frequent))
    names = [written[code] or _NOTHING for code in frequent]
    if len(codes) > len(frequent):
        names.append(_REST if _REST not in names else f"{_REST} values")
    found = parts[np.frombuffer(column_of_codes, np.int64)]
    return SliceBy(by=name, names=tuple(names), parts=packed(found))
