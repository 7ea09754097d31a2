"""What a data file seems to hold: which column is text, which is label, and which labels."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepipe.data import Columns, examples, parts, rows
from edgepipe.errors import DataError, UsageError

_LOOK = 2000
_TEXT = ("text", "sentence", "review", "content", "body", "message", "comment", "question", "title")
_LABEL = ("label", "labels", "class", "category", "target", "sentiment", "intent", "topic", "y")
_FEW = 0.5


@dataclass(frozen=True, kw_only=True)
class DataGuess:
    """What was found in the training file, and how sure a name made it."""

    text: str
    label: str
    labels: tuple[str, ...]
    """Distinct values among the rows looked at, sorted."""
    texts: tuple[str, ...]
    """A sample, for measuring lengths."""
    splits: tuple[str, ...]


def look_at_data(path: Path, text: str | None, label: str | None) -> DataGuess:
    """Read the first rows of ``path`` and guess what was not given.

    Raises UsageError when the columns cannot be told apart, DataError when rows cannot be read.
    """
    files = parts(path)
    train = files.get("train")
    if train is None:
        raise UsageError(f"{path}: has no training split among {', '.join(files)}")
    sample = [row.values for row in itertools.islice(rows(train), _LOOK)]
    if not sample:
        raise DataError(f"{train}: holds no rows")
    label = label or _guess_label(path, sample, taken=text)
    text = text or _guess_text(path, sample, taken=label)
    use = Columns(text=text, label=label, skip_bad_rows=True)
    found = list(itertools.islice(examples(train, use), _LOOK))
    if not found:
        raise DataError(f"{train}: no row has both a {text!r} and a {label!r}")
    return DataGuess(
        text=text,
        label=label,
        labels=tuple(sorted({e.label for e in found})),
        texts=tuple(e.text for e in found),
        splits=tuple(files),
    )


def _guess_label(path: Path, sample: Sequence[Mapping[str, Any]], taken: str | None) -> str:
    names = [name for name in sample[0] if name != taken]
    by_name = _named(names, _LABEL)
    if by_name:
        return by_name
    few = {n: len({str(row.get(n)) for row in sample}) for n in names}
    fits = {n: count for n, count in few.items() if 2 <= count <= max(2, _FEW * len(sample))}  # noqa: PLR2004 - classes
    if len(fits) != 1:
        have = ", ".join(map(repr, names))
        raise UsageError(f"{path}: which column is the label? Give --label, one of {have}")
    return next(iter(fits))


def _guess_text(path: Path, sample: Sequence[Mapping[str, Any]], taken: str) -> str:
    names = [name for name in sample[0] if name != taken]
    by_name = _named(names, _TEXT)
    if by_name:
        return by_name
    lengths: Counter[str] = Counter()
    for row in sample:
        lengths.update({n: len(row[n]) for n in names if isinstance(row.get(n), str)})
    if not lengths:
        raise UsageError(f"{path}: which column is the text? Give --text, one of {names}")
    return lengths.most_common(1)[0][0]


def _named(names: Sequence[str], known: Sequence[str]) -> str | None:
    by_lower = {name.lower(): name for name in names}
    return next((by_lower[name] for name in known if name in by_lower), None)
