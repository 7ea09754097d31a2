from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import pytest

from edgepipe.data import Columns, examples, parts, rows
from edgepipe.errors import DataError
from tests.data.tables import WRITERS, Rows, numbered, write_csv, write_parquet

AWKWARD = [
    {"text": 'She said "no", twice', "label": "a"},
    {"text": "two\nlines, and a comma", "label": "b"},
    {"text": "naïve 日本 😀", "label": "a"},
    {"text": " kept as it is ", "label": "b"},
]


def texts(path: Path, use: Columns = Columns()) -> list[tuple[str, str]]:  # noqa: B008
    return [(example.text, example.label) for example in examples(path, use)]


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_examples(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name, AWKWARD)
    assert texts(path) == [(row["text"], row["label"]) for row in AWKWARD]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name, AWKWARD)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert texts(path)[0] == (AWKWARD[0]["text"], "a")


def test_lines_of_windows_and_blank_lines_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\r\ntext,label\r\n\r\none,a\r\n\r\ntwo,b\r\n")
    assert texts(tmp_path / "a.csv") == [("one", "a"), ("two", "b")]
    (tmp_path / "a.jsonl").write_bytes(b'\n{"text": "one", "label": "a"}\r\n\r\n')
    assert texts(tmp_path / "a.jsonl") == [("one", "a")]


def test_rows_know_the_line_they_begin_on(tmp_path: Path) -> None:
    """Counted by hand: the second record takes lines 3 and 4."""
    path = tmp_path / "a.csv"
    path.write_text('text,label\none,a\n"two\nlines",b\n\nlast,a\n')
    assert [row.where for row in rows(path)] == [f"{path}:{n}" for n in (2, 3, 6)]


def test_other_column_names_and_other_columns(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [{"id": "7", "Review": "fine", "stars": "5"}])
    assert texts(path, Columns(text="Review", label="stars")) == [("fine", "5")]


@pytest.mark.parametrize(
    ("label", "read"), [(1, "1"), (0, "0"), (True, "true"), (" a ", "a"), (-1, "-1")]
)
def test_labels_may_be_names_numbers_or_truths(tmp_path: Path, label: object, read: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "x", "label": label}))
    assert texts(tmp_path / "a.jsonl") == [("x", read)]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", "text,label\nfine,a\nno, really,b\n", ":3: 3 fields where the header has 2"),
        ("a.csv", "text,label\nfine\n", ":2: 1 fields where the header has 2"),
        ("a.csv", 'text,label\nfine,a\n"open,b\nx,a\n', ":3: not CSV: unexpected end of data"),
        ("a.csv", 'text,label\n"a" b,b\n', ":2: not CSV: "),
        ("a.csv", "text,text\nfine,a\n", ":1: the header repeats a column name: text, text"),
        ("a.csv", "text,label\n", ": holds no rows"),
        ("a.csv", "", ": holds no rows"),
        ("a.csv", "texts,label\nfine,a\n", "has no column 'text' (text_column); it has 'texts', "),
        ("a.csv", "text,labels\nfine,a\n", "(label_column); it has 'text', 'labels'; did you mean"),
        ("a.csv", "text,label\nfine,a\n ,b\n", ":3: empty text; mend the row or set bad_rows"),
        ("a.csv", "text,label\nfine,a\nok, \n", ":3: empty label; mend the row or set bad_rows"),
        ("a.jsonl", '{"text": "x", "label": 1}\n{"text": "x"', ":2: not JSON: "),
        ("a.jsonl", '{"text": "x", "label": 1}\n[1]\n', ":2: a JSON object is needed, got [1]"),
        ("a.jsonl", "[" * 100_000, ":1: not JSON: "),
        ("a.jsonl", '{"text": "x", "label": 1}\n{"text": "x"}\n', ":2: no value in column 'label'"),
        ("a.jsonl", '{"text": "x", "label": null}\n', ":1: no value in column 'label'"),
        ("a.jsonl", '{"text": 3, "label": 1}\n', ":1: column 'text' holds 3, which is no text"),
        ("a.jsonl", '{"text": "x", "label": 1.5}\n', ":1: column 'label' holds 1.5, which is no l"),
        ("a.jsonl", '{"text": "x", "label": [1]}\n', ":1: column 'label' holds [1], which is no l"),
        ("a.jsonl", "\n\n", ": holds no rows"),
        ("a.xlsx", "", ": cannot read .xlsx: .csv, .tsv, .jsonl, .parquet, or a folder"),
        ("a", "", ": cannot read a file without ending: .csv, .tsv,"),
        ("a.parquet", "not at all", ": not a readable Parquet file: "),
    ],
)
def test_what_cannot_be_read_names_file_and_line(
    tmp_path: Path, name: str, content: str, problem: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        texts(path)
    assert str(caught.value).startswith(str(path))
    assert problem in str(caught.value)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_line_that_is_not_utf8_is_named_however_far_down(tmp_path: Path, name: str) -> None:
    """Far beyond the first block that a decoder reads."""
    path = WRITERS[name](tmp_path / name, numbered(5000))
    lines = path.read_bytes().split(b"\n")
    lines[4000] = lines[4000].replace(b"text number", b"caf\xe9 number")
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=r":4001: not UTF-8"):
        texts(path)


def test_bad_rows_are_passed_over_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = ['{"text": "", "label": 1}', '{"text": "x"}', '{"text": "x", "label": ""}',
             '{"text": "good", "label": 1}', '{"text": null, "label": 1}']  # fmt: skip
    path.write_text("\n".join(lines))
    assert texts(path, Columns(skip_bad_rows=True)) == [("good", "1")]


def test_a_broken_file_is_no_bad_row(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x", "label": 1}\nnonsense\n')
    with pytest.raises(DataError, match=":2: not JSON"):
        texts(tmp_path / "a.jsonl", Columns(skip_bad_rows=True))


def test_half_a_surrogate_pair_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "cut \\ud83d", "label": "\\ud83d"}')
    assert texts(tmp_path / "a.jsonl") == [("cut ?", "?")]


def labelled(names: list[str], rows: Rows) -> datasets.Dataset:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    )
    return datasets.Dataset.from_list([dict(row) for row in rows], features=features)


def test_a_saved_dataset_names_its_labels_itself(tmp_path: Path) -> None:
    rows = [{"text": "x", "label": 1}, {"text": "y", "label": 0}]
    labelled(["neg", "pos"], rows).save_to_disk(tmp_path / "saved")
    assert texts(tmp_path / "saved") == [("x", "pos"), ("y", "neg")]


def test_a_saved_dict_of_datasets_brings_its_splits(tmp_path: Path) -> None:
    row = [{"text": "x", "label": 1}]
    both = {"train": labelled(["neg", "pos"], row), "test": labelled(["neg", "pos"], row)}
    datasets.DatasetDict(both).save_to_disk(tmp_path / "dict")
    assert parts(tmp_path / "dict") == {
        "train": tmp_path / "dict" / "train",
        "test": tmp_path / "dict" / "test",
    }
    assert texts(tmp_path / "dict" / "test") == [("x", "pos")]
    assert parts(tmp_path / "dict" / "test") == {"train": tmp_path / "dict" / "test"}


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"splits": 3}', "\x00"])
def test_a_damaged_dict_of_datasets(tmp_path: Path, damage: str) -> None:
    (tmp_path / "dataset_dict.json").write_text(damage)
    with pytest.raises(DataError, match=r"its dataset_dict\.json is damaged"):
        parts(tmp_path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scribble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[20:-200] = bytes(len(content) - 220)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, scribble])
def test_a_damaged_parquet_file(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = write_parquet(tmp_path / "a.parquet", numbered(5000))
    damage(path)
    with pytest.raises(DataError, match="not a readable Parquet file"):
        texts(path)


@pytest.mark.parametrize("file", ["*.arrow", "dataset_info.json", "state.json"])
def test_a_damaged_saved_dataset(tmp_path: Path, file: str) -> None:
    labelled(["neg", "pos"], [{"text": "x" * 999, "label": 1}]).save_to_disk(tmp_path / "saved")
    (found,) = (tmp_path / "saved").glob(file)
    cut(found)
    with pytest.raises(DataError, match="not a readable dataset"):
        texts(tmp_path / "saved")


def test_any_other_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a readable dataset"):
        texts(tmp_path)


def test_a_field_may_be_longer_than_the_csv_module_allows(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [{"text": "x" * 200_000, "label": "a"}])
    with field_limit(131_072):
        assert len(texts(path)[0][0]) == 200_000


@contextlib.contextmanager
def field_limit(limit: int) -> Iterator[None]:
    """The module's own limit, until somebody raises it."""
    before = csv.field_size_limit(limit)
    try:
        yield
    finally:
        csv.field_size_limit(before)
