"""Files to a stream of rows, each of which knows the file and line it came from."""

from __future__ import annotations

import contextlib
import csv
import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepipe.errors import DataError, MissingDependencyError

_FIELD_LIMIT = 1 << 27
_KEPT_LIMIT = 200
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
    kept: tuple[str, ...] = ()
    """The values of ``Columns.keep``, in its order."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns hold text and label, and what to do with a row that has no usable text."""

    text: str = "text"
    label: str = "label"
    keep: tuple[str, ...] = ()
    """Further columns whose values go along with every text."""
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


def parts(path: Path) -> dict[str, Path]:
    """The splits that ``path`` itself holds: several for a saved DatasetDict, else just train."""
    if not (path / "dataset_dict.json").is_file():
        return {"train": path}
    try:
        found = json.loads((path / "dataset_dict.json").read_text(encoding="utf-8"))
        return {name: path / name for name in found["splits"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: its dataset_dict.json is damaged: {error}") from error


def examples(path: Path, use: Columns) -> Iterator[Example]:
    """Text and label of every row. Bad rows raise DataError, or are passed over when asked."""
    names = {column: class_names(path, column) for column in (use.label, *use.keep)}
    wanted = [("text_column", use.text), ("label_column", use.label)]
    wanted += [("keep", column) for column in use.keep]
    empty = True
    for row in rows(path):
        if empty:
            require(path, row, wanted)
            empty = False
        try:
            yield _example(row, use, names)
        except DataError:
            if not use.skip_bad_rows:
                raise
    if empty:
        raise DataError(f"{path}: holds no rows")


def require(path: Path, row: Row, wanted: Iterable[tuple[str, str]]) -> None:
    """Raise DataError unless ``row`` has every column; ``wanted``: setting and column name."""
    for setting, name in wanted:
        if name not in row.values:
            found = difflib.get_close_matches(name, list(row.values), n=1)
            hint = f"; did you mean {found[0]!r}?" if found else ""
            have = ", ".join(map(repr, row.values))
            raise DataError(f"{path}: has no column {name!r} ({setting}); it has {have}{hint}")


def _example(row: Row, use: Columns, names: Mapping[str, Sequence[str] | None]) -> Example:
    text = text_in(row, use.text)
    label = _label(row, use.label, names[use.label])
    return Example(row.where, text, label, tuple(_kept(row, c, names[c]) for c in use.keep))


def text_in(row: Row, column: str) -> str:
    """The text of one row; DataError when there is none."""
    text = _value(row, column)
    if not isinstance(text, str):
        raise DataError(f"{row.where}: column {column!r} holds {text!r}, which is no text")
    if not text.strip():
        raise DataError(f"{row.where}: empty text; mend the row or set bad_rows = 'skip'")
    return _whole(text)


def _value(row: Row, column: str) -> Any:
    value = row.values.get(column)
    if value is None:
        raise DataError(f"{row.where}: no value in column {column!r}")
    return value


def _label(row: Row, column: str, names: Sequence[str] | None) -> str:
    label = _value(row, column)
    if not isinstance(label, str | int):
        raise DataError(f"{row.where}: column {column!r} holds {label!r}, which is no label")
    written = _written(label, names)
    if not written:
        raise DataError(f"{row.where}: empty label; mend the row or set bad_rows = 'skip'")
    return written


def _kept(row: Row, column: str, names: Sequence[str] | None) -> str:
    """A value to make slices by, as text; empty where the row has none."""
    value = row.values.get(column)
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        what = "neither text nor a number, and cannot be kept"
        raise DataError(f"{row.where}: column {column!r} holds {value!r}, which is {what}")
    written = _written(value, names)
    if len(written) > _KEPT_LIMIT:
        raise DataError(
            f"{row.where}: column {column!r} holds {len(written)} characters; a column is kept to "
            f"make slices by, and its values have {_KEPT_LIMIT} at most"
        )
    return written


def _written(value: str | float, names: Sequence[str] | None) -> str:
    """One spelling whatever the format: ``true``, ``3``, or the name that a number stands for."""
    if isinstance(value, bool):
        return str(value).lower()
    if names is not None and isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return _whole(str(value).strip())


def _whole(text: str) -> str:
    """``text`` without halves of surrogate pairs, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


def _csv_rows(path: Path, delimiter: str) -> Iterator[Row]:
    header: list[str] = []
    with text_file(path), path.open(encoding="utf-8-sig", newline="") as file:
        for line, record in _csv_records(path, csv.reader(file, delimiter=delimiter, strict=True)):
            if not header:
                header = [name.strip() for name in record]
                if len(set(header)) != len(header):
                    have = ", ".join(header)
                    raise DataError(f"{path}:{line}: the header repeats a column name: {have}")
            elif len(record) != len(header):
                found = f"{len(record)} fields where the header has {len(header)}"
                raise DataError(f"{path}:{line}: {found}")
            else:
                yield Row(f"{path}:{line}", dict(zip(header, record, strict=True)))


def _csv_records(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Records that are not blank, each with the line it begins on."""
    csv.field_size_limit(_FIELD_LIMIT)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{line}: not CSV: {error}") from error


def _jsonl_rows(path: Path) -> Iterator[Row]:
    with text_file(path), path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}:{number}: not JSON: {error}") from error
            if not isinstance(record, dict):
                raise DataError(
                    f"{path}:{number}: a JSON object is needed, got {line[:40].strip()}"
                )
            yield Row(f"{path}:{number}", record)


@contextlib.contextmanager
def text_file(path: Path) -> Iterator[None]:
    """Turn what reading a file as UTF-8 may raise into a DataError with file and line."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:{_undecodable(path)}: not UTF-8; convert the file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _undecodable(path: Path) -> int:
    """The first line that is not UTF-8; the decoder itself counts from somewhere in the file."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):  # noqa: B007 - the last one is the answer
            try:
                line.decode()
            except UnicodeDecodeError:
                break
    return number


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
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error


def _datasets_rows(path: Path) -> Iterator[Row]:
    with _dataset_errors(path):
        for number, record in enumerate(_saved_dataset(path), start=1):
            yield Row(f"{path}: row {number}", record)


def _saved_dataset(path: Path) -> Any:
    """A memory-mapped ``datasets.Dataset``."""
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError("datasets", "build", f"reading {path.name}") from error
    return datasets.Dataset.load_from_disk(str(path))


@contextlib.contextmanager
def _dataset_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{path}: not a readable dataset ({error}); what can be read: {FORMATS}"
        raise DataError(message) from error


def class_names(path: Path, column: str) -> list[str] | None:
    """Names that a ``datasets`` folder itself gives to a column's numbers, in their order."""
    if not path.is_dir():
        return None
    with _dataset_errors(path):
        names: list[str] | None = getattr(_saved_dataset(path).features.get(column), "names", None)
        return names
