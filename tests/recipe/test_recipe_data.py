from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from edgepipe.errors import DataError, UsageError
from edgepipe.recipe import look_at_data


def table(path: Path, *rows: dict[str, Any]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def numbered(count: int = 30, **columns: str) -> list[dict[str, Any]]:
    """Rows whose columns are filled by what they hold: texts, ids, or one of n classes."""
    kinds = {
        "text": lambda n: f"a rather long text with the number {n}",
        "short": lambda n: f"title {n}",
        "id": lambda n: n,
        "two": lambda n: ("no", "yes")[n % 2],
        "three": lambda n: ("a", "b", "c")[n % 3],
        "same": lambda n: "x",
    }
    return [{name: kinds[kind](n) for name, kind in columns.items()} for n in range(count)]


@pytest.mark.parametrize(
    ("columns", "text", "label"),
    [
        ({"text": "text", "label": "two"}, "text", "label"),
        ({"Review": "text", "Sentiment": "two"}, "Review", "Sentiment"),
        ({"id": "id", "body": "text", "category": "three"}, "body", "category"),
        ({"was": "text", "wie": "two"}, "was", "wie"),
        ({"id": "id", "kurz": "short", "lang": "text", "wie": "two"}, "lang", "wie"),
        ({"source": "same", "was": "text", "wie": "two"}, "was", "wie"),
        ({"label": "two", "other": "three", "was": "text"}, "was", "label"),
    ],
)
def test_columns_are_told_apart_by_name_or_by_what_they_hold(
    tmp_path: Path, columns: dict[str, str], text: str, label: str
) -> None:
    found = look_at_data(table(tmp_path / "a.csv", *numbered(**columns)), None, None)
    assert (found.text, found.label) == (text, label)


def test_what_is_given_is_not_guessed(tmp_path: Path) -> None:
    columns = {"text": "short", "label": "three", "long": "text", "other": "two"}
    path = table(tmp_path / "a.csv", *numbered(**columns))
    given = look_at_data(path, "long", "other")
    assert (given.text, given.label, given.labels) == ("long", "other", ("no", "yes"))
    assert look_at_data(path, "long", None).label == "label"
    assert look_at_data(path, None, "other").text == "text"


def test_the_guess_holds_the_labels_and_a_sample(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", *numbered(3000, text="text", label="three"))
    found = look_at_data(path, None, None)
    assert found.labels == ("a", "b", "c")
    assert len(found.texts) == 2000
    assert found.texts[7] == "a rather long text with the number 7"
    assert found.splits == ("train",)


@pytest.mark.parametrize(
    ("columns", "question"),
    [
        ({"was": "text", "a": "two", "b": "three"}, "which column is the label? Give --label, one"),
        ({"was": "text", "a": "id"}, "which column is the label? Give --label, one of 'was', 'a'"),
        ({"label": "two"}, "which column is the text? Give --text"),
    ],
)
def test_what_cannot_be_told_apart_is_asked_for(
    tmp_path: Path, columns: dict[str, str], question: str
) -> None:
    with pytest.raises(UsageError) as caught:
        look_at_data(table(tmp_path / "a.csv", *numbered(**columns)), None, None)
    assert question in str(caught.value)


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", *numbered(text="text", label="two"))
    with pytest.raises(DataError, match=r"has no column 'texts'.*did you mean 'text'"):
        look_at_data(path, "texts", None)


def test_a_file_without_rows_or_without_good_ones(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n")
    with pytest.raises(DataError, match="holds no rows"):
        look_at_data(tmp_path / "a.csv", None, None)
    (tmp_path / "a.csv").write_text("text,label\n ,a\n ,b\n")
    with pytest.raises(DataError, match="no row has both a 'text' and a 'label'"):
        look_at_data(tmp_path / "a.csv", None, None)


def test_numbers_in_json_are_labels_too(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"t{n}", "label": n % 3}) for n in range(20)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert look_at_data(tmp_path / "a.jsonl", None, None).labels == ("0", "1", "2")


def test_a_saved_dict_of_datasets_says_its_splits(tmp_path: Path) -> None:
    rows = numbered(text="text", label="two")
    parts = dict.fromkeys(("train", "test"), datasets.Dataset.from_list(rows))
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "dict")
    assert look_at_data(tmp_path / "dict", None, None).splits == ("train", "test")
    datasets.DatasetDict({"test": parts["test"]}).save_to_disk(tmp_path / "test")
    with pytest.raises(UsageError, match="has no training split among test"):
        look_at_data(tmp_path / "test", None, None)
