"""Texts of a split, read line by line, so that memory does not grow with the data."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from edgepipe.artifacts import Dataset, Split, Texts
from edgepipe.errors import DataError

T = TypeVar("T")


class Example(NamedTuple):
    """A text and the index of its label."""

    text: str
    label: int


def examples(data: Dataset, split: Split) -> Iterator[Example]:
    """Every example of a split, in file order.

    Raises StageError when there is no such split, DataError for a line that is no example.
    """
    for where, row in _records(data.file(split)):
        yield _example(row, len(data.labels), where)


def column(data: Dataset, split: Split, name: str) -> Iterator[str]:
    """The value of a kept column for every example of a split, in file order.

    Raises DataError for a line that has none.
    """
    for where, row in _records(data.file(split)):
        value = row["columns"].get(name) if isinstance(row.get("columns"), dict) else None
        if not isinstance(value, str):
            raise DataError(f"{where} is damaged: no column {name!r}; make the dataset again")
        yield value


def unlabelled(found: Texts) -> Iterator[str]:
    """Every text, in file order; DataError for a line that is none."""
    for where, row in _records(found.file):
        if not isinstance(row.get("text"), str):
            raise DataError(f"{where} is damaged: no text; make the texts again")
        yield row["text"]


def chunks(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """``rows`` in lists of ``size``; the last one may be shorter."""
    iterator = iter(rows)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def sample(data: Dataset, split: Split, count: int, *, seed: int) -> list[str]:
    """``count`` texts of a split in random order, or all of them where there are fewer.

    Without replacement; the same ``seed`` draws the same texts.
    """
    return [text for _, text in drawn(data, split, count, seed=seed)]


def drawn(data: Dataset, split: Split, count: int, *, seed: int) -> list[tuple[int, str]]:
    """The texts of ``sample``, each with its row, counted from 0."""
    rows = data.splits[split].rows if split in data.splits else 0
    order = np.random.default_rng(seed).permutation(rows)[:count].tolist()
    wanted = set(order)
    found = {row: e.text for row, e in enumerate(examples(data, split)) if row in wanted}
    return [(row, found[row]) for row in order if row in found]


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every JSON object of a JSONL file, with its place."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path}:{number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"{where} is damaged: {error}; make it again") from error
            if not isinstance(row, dict):
                raise DataError(f"{where} is damaged: not a JSON object; make it again")
            yield where, row


def _example(row: dict[str, Any], labels: int, where: str) -> Example:
    try:
        example = Example(row["text"], row["label"])
    except KeyError as error:
        raise DataError(f"{where} is damaged: no {error}; make the dataset again") from error
    if not isinstance(example.text, str) or type(example.label) is not int:
        raise DataError(f"{where} is damaged: text and label have the wrong types")
    if not 0 <= example.label < labels:
        raise DataError(f"{where} has label {example.label}, and there are {labels} labels")
    return example
