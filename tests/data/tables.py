"""The same labelled texts in every format that can be read."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from edgepipe.artifacts import Dataset
from edgepipe.data import Columns, Shares, build

Rows = Sequence[Mapping[str, Any]]


def write_csv(path: Path, rows: Rows, delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_tsv(path: Path, rows: Rows) -> Path:
    return write_csv(path, rows, "\t")


def write_jsonl(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: Rows) -> Path:
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
    return path


def write_saved(path: Path, rows: Rows) -> Path:
    datasets.Dataset.from_list([dict(row) for row in rows]).save_to_disk(path)
    return path


WRITERS: dict[str, Callable[[Path, Rows], Path]] = {
    "a.csv": write_csv,
    "a.tsv": write_tsv,
    "a.jsonl": write_jsonl,
    "a.parquet": write_parquet,
    "saved": write_saved,
}


def numbered(count: int, labels: Sequence[str] = ("bad", "good")) -> list[dict[str, str]]:
    """Different texts, labels in turn."""
    return [{"text": f"text number {n}", "label": labels[n % len(labels)]} for n in range(count)]


def built(  # noqa: PLR0913
    into: Path,
    files: Mapping[str, Path],
    *,
    use: Columns = Columns(),  # noqa: B008
    labels: Sequence[str] | None = None,
    validation: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
) -> Dataset:
    return build(
        files,
        into,
        use=use,
        labels=labels,
        shares=Shares(validation=validation, test=test),
        seed=seed,
        progress=lambda done, total, message: None,
    )


def read(data: Dataset, split: str) -> list[dict[str, Any]]:
    """The records of a split, by nothing but json."""
    lines = (data.path / f"{split}.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    return [json.loads(line) for line in lines]
