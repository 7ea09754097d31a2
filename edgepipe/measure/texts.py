"""Texts of a split, read line by line, so that memory does not grow with the data."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from edgepipe.artifacts import Dataset, Split
from edgepipe.errors import DataError


class Example(NamedTuple):
    """A text and the index of its label."""

    text: str
    label: int


def examples(data: Dataset, split: Split) -> Iterator[Example]:
    """Every example of a split, in file order.

    Raises StageError when there is no such split, DataError for a line that is no example.
    """
    path = data.file(split)
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            yield _example(line, len(data.labels), f"{path}:{number}")


def chunks(rows: Iterable[Example], size: int) -> Iterator[list[Example]]:
    """``rows`` in lists of ``size``; the last one may be shorter."""
    iterator = iter(rows)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def sample(data: Dataset, split: Split, count: int, *, seed: int) -> list[str]:
    """``count`` texts of a split in random order, or all of them where there are fewer.

    Without replacement; the same ``seed`` draws the same texts.
    """
    rows = data.splits[split].rows if split in data.splits else 0
    order = np.random.default_rng(seed).permutation(rows)[:count].tolist()
    wanted = set(order)
    found = {row: e.text for row, e in enumerate(examples(data, split)) if row in wanted}
    return [found[row] for row in order if row in found]


def _example(line: str, labels: int, where: str) -> Example:
    try:
        row = json.loads(line)
        example = Example(row["text"], row["label"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where} is damaged: {error!r}; make the dataset again") from error
    if not isinstance(example.text, str) or type(example.label) is not int:
        raise DataError(f"{where} is damaged: text and label have the wrong types")
    if not 0 <= example.label < labels:
        raise DataError(f"{where} has label {example.label}, and there are {labels} labels")
    return example
