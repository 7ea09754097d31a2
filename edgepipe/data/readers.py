"""Files to a stream of rows, each of which knows the file and line it came from."""

from __future__ import annotations

import contextlib
import csv
import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepipe.errors import DataError, MissingDependencyError

_FIELD_LIMIT = 1 << 27
FORMATS = ".csv, .tsv, .jsonl, .parquet, or a folder written by datasets' save_to_disk"


@dataclass(frozen=True, slots=True)
class Row:
    """One record: ``where`` is ``FILE:LINE``, or ``FILE: row N`` where a file has no lines."""

    where: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled text; the label as the file has it."""

    where: str
    text: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns hold text and label, and what to do with a row that has no usable text."""

    text: str = "text"
    label: str = "label"
    skip_bad_rows: bool = False


def rows(path: Path) -> Iterator[Row]:
    """Every record of ``path``, streamed; DataError names file and line of the first bad one."""
    if path.is_dir():
        yield from _datasets_rows(path)
        return
    match path.suffix.lower():
        case ".csv":
            yield from _csv_rows(path, ",")
        case ".tsv":
            yield from _csv_rows(path, "\t")
        case ".jsonl" | ".ndjson":
            yield from _jsonl_rows(path)
        case ".parquet":
            yield from _parquet_rows(path)
        case suffix:
            raise DataError(f"{path}: cannot read {suffix or 'a file without ending'}: {FORMATS}")


def columns(path: Path) -> list[str]:
    """The column names of ``path``: those of its first record."""
    first = next(rows(path), None)
    if first is None:
        raise DataError(f"{path}: holds no rows")
    return list(first.values)


def parts(path: Path) -> dict[str, Path]:
    """The splits that ``path`` itself holds: several for a saved DatasetDict, else just train."""
    if not (path / "dataset_dict.json").is_file():
        return {"train": path}
    names = json.loads((path / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
    return {name: path / name for name in names}


def examples(path: Path, use: Columns) -> Iterator[Example]:
    """Text and label of every row. Bad rows raise DataError, or are passed over when asked."""
    names = _class_names(path, use.label)
    empty = True
    for row in rows(path):
        if empty:
            _require(path, row, use)
            empty = False
        try:
            yield _example(row, use, names)
        except DataError:
            if not use.skip_bad_rows:
                raise
    if empty:
        raise DataError(f"{path}: holds no rows")


def _require(path: Path, row: Row, use: Columns) -> None:
    for setting, name in (("text_column", use.text), ("label_column", use.label)):
        if name not in row.values:
            found = difflib.get_close_matches(name, list(row.values), n=1)
            hint = f"; did you mean {found[0]!r}?" if found else ""
            have = ", ".join(map(repr, row.values))
            raise DataError(f"{path}: has no column {name!r} ({setting}); it has {have}{hint}")


def _example(row: Row, use: Columns, names: list[str] | None) -> Example:
    for column in (use.text, use.label):
        if row.values.get(column) is None:
            raise DataError(f"{row.where}: no value in column {column!r}")
    text, label = row.values[use.text], row.values[use.label]
    if not isinstance(text, str):
        raise DataError(f"{row.where}: column {use.text!r} holds {text!r}, which is no text")
    if not text.strip():
        raise DataError(f"{row.where}: empty text; mend the row or set bad_rows = 'skip'")
    if names is not None and isinstance(label, int) and 0 <= label < len(names):
        label = names[label]
    if isinstance(label, float | list | dict):
        raise DataError(f"{row.where}: column {use.label!r} holds {label!r}, which is no label")
    if isinstance(label, bool):
        label = str(label).lower()
    return Example(row.where, text, str(label).strip())


def _csv_rows(path: Path, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(_FIELD_LIMIT)
    with _text_of(path), path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        header = [name.strip() for name in next(reader, [])]
        if len(set(header)) != len(header):
            raise DataError(f"{path}:1: the header repeats a column name: {', '.join(header)}")
        line = reader.line_num + 1
        for record in reader:
            where = f"{path}:{line}"
            line = reader.line_num + 1
            if not record:
                continue
            if len(record) != len(header):
                raise DataError(f"{where}: {len(record)} fields where the header has {len(header)}")
            yield Row(where, dict(zip(header, record, strict=True)))


def _jsonl_rows(path: Path) -> Iterator[Row]:
    with _text_of(path), path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}:{number}: not JSON: {error}") from error
            if not isinstance(record, dict):
                raise DataError(
                    f"{path}:{number}: a JSON object is needed, got {line[:40].strip()}"
                )
            yield Row(f"{path}:{number}", record)


@contextlib.contextmanager
def _text_of(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}; convert the file") from error
    except csv.Error as error:
        raise DataError(f"{path}: not CSV: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingDependencyError("pyarrow", "build", f"reading {path.name}") from error
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for record in batch.to_pylist():
                    number += 1
                    yield Row(f"{path}: row {number}", record)
    except pa.ArrowException as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error


def _datasets_rows(path: Path) -> Iterator[Row]:
    for number, record in enumerate(_saved_dataset(path), start=1):
        yield Row(f"{path}: row {number}", record)


def _saved_dataset(path: Path) -> Any:
    """A memory-mapped ``datasets.Dataset``."""
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError("datasets", "build", f"reading {path.name}") from error
    try:
        return datasets.Dataset.load_from_disk(str(path))
    except (FileNotFoundError, ValueError) as error:
        raise DataError(f"{path}: not a dataset; what can be read: {FORMATS}") from error


def _class_names(path: Path, label: str) -> list[str] | None:
    """Names that a ``datasets`` folder itself gives to its label numbers."""
    if not path.is_dir():
        return None
    names: list[str] | None = getattr(_saved_dataset(path).features.get(label), "names", None)
    return names
