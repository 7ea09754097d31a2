"""Files to the JSONL splits of a Dataset."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from edgepipe import disk
from edgepipe.artifacts import Dataset, Split, SplitRecord
from edgepipe.data.labels import LabelMap, label_names
from edgepipe.data.readers import Columns, Example, class_names, examples, rows
from edgepipe.data.splits import TEST, TRAIN, VALIDATION, assign, overlaps, text_key
from edgepipe.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPLITS: tuple[Split, ...] = get_args(Split)
_CODES: Mapping[Split, int] = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Shares of all rows for the splits that have no file of their own."""

    validation: float
    test: float


def build(  # noqa: PLR0913 - one call, everything named
    files: Mapping[str, Path],
    into: Path,
    *,
    use: Columns,
    labels: Sequence[str] | None,
    shares: Shares,
    seed: int,
    progress: Progress,
) -> Dataset:
    """``into`` holds ``SPLIT.jsonl`` for every split, in the order of the files.

    Raises DataError naming file and line of the first row that cannot be used.
    """
    if "train" not in files:
        raise DataError(f"no training split among {', '.join(files)}")
    progress(0, len(SPLITS), "reading labels")
    seen = Counter(e.label for e in examples(files["train"], use))
    names, numbers = label_names(seen, labels or _own_order(files["train"], use, seen))
    index = LabelMap(names, numbers=numbers)
    where = _split_train(files, use, index, names=names, shares=shares, seed=seed)
    records: dict[Split, SplitRecord] = {}
    keys: dict[str, set[bytes]] = {}
    for n, split in enumerate(SPLITS):
        progress(n + 1, len(SPLITS), f"writing {split}")
        chosen = _rows_of(split, files, use, where)
        if chosen is not None:
            writer = _Writer(index, len(names), use.keep)
            disk.write_bytes(into / f"{split}.jsonl", writer.lines(chosen))
            records[split], keys[split] = writer.record(), writer.keys
    notes = overlaps(keys) | _skipped(files, use, records)
    return Dataset(path=into, labels=names, splits=records, columns=use.keep, notes=notes)


def _own_order(train: Path, use: Columns, seen: Collection[str]) -> list[str] | None:
    """The labels that occur, in the order that a ``datasets`` folder itself gives them."""
    names = class_names(train, use.label)
    return None if names is None else [name for name in names if name in seen]


def _split_train(  # noqa: PLR0913
    files: Mapping[str, Path],
    use: Columns,
    index: LabelMap,
    *,
    names: Sequence[str],
    shares: Shares,
    seed: int,
) -> NDArray[np.int8] | None:
    """The split of each row of the training file; None when every split has its own file."""
    validation = 0.0 if "validation" in files else shares.validation
    test = 0.0 if "test" in files else shares.test
    if validation == test == 0.0:
        return None
    keys: list[bytes] = []
    labels = array("i")
    for example in examples(files["train"], use):
        keys.append(text_key(example.text))
        labels.append(index(example))
    return assign(keys, labels, names, validation=validation, test=test, seed=seed)


def _rows_of(
    split: Split, files: Mapping[str, Path], use: Columns, where: NDArray[np.int8] | None
) -> Iterator[Example] | None:
    if split != "train" and split in files:
        return examples(files[split], use)
    everything = examples(files["train"], use)
    if where is None:
        return everything if split == "train" else None
    if not (where == _CODES[split]).any():
        return None
    code = _CODES[split]
    return (e for e, to in zip(everything, where, strict=True) if to == code)


class _Writer:
    """Examples to JSON lines, counting as they pass."""

    def __init__(self, index: LabelMap, labels: int, keep: tuple[str, ...]) -> None:
        self.index = index
        self.keep = keep
        self.counts = [0] * labels
        self.keys: set[bytes] = set()

    def lines(self, chosen: Iterator[Example]) -> Iterator[bytes]:
        for example in chosen:
            label = self.index(example)
            self.counts[label] += 1
            self.keys.add(text_key(example.text))
            record: dict[str, object] = {"text": example.text, "label": label}
            if self.keep:
                record["columns"] = dict(zip(self.keep, example.kept, strict=True))
            yield (json.dumps(record, ensure_ascii=False) + "\n").encode()

    def record(self) -> SplitRecord:
        return SplitRecord(rows=sum(self.counts), label_counts=tuple(self.counts))


def _skipped(
    files: Mapping[str, Path], use: Columns, records: Mapping[Split, SplitRecord]
) -> dict[str, int]:
    """How many rows were passed over, when that was asked for."""
    if not use.skip_bad_rows:
        return {}
    present = sum(1 for name, file in files.items() if name in SPLITS for _ in rows(file))
    return {"rows skipped": present - sum(record.rows for record in records.values())}
