from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
from pydantic import ValidationError

from edgepipe import disk
from edgepipe.artifacts import KINDS, Texts
from edgepipe.errors import DataError, UsageError
from edgepipe.sources import Source
from edgepipe.stage import Work
from edgepipe.stages import stage_class
from edgepipe.stages.texts import ImportTexts, Inputs
from tests.data.tables import WRITERS, numbered, write_jsonl


def stage(tmp_path: Path, file: Path, **settings) -> Texts:
    into = disk.make_folder(tmp_path / "into")
    made = ImportTexts(file=Source(str(file)), **settings)(Inputs(), into, Work(path=tmp_path))
    assert isinstance(made, Texts)
    return made


def lines(made: Texts) -> list[str]:
    read = made.file.read_text(encoding="utf-8").split("\n")
    assert read.pop() == ""
    rows = [json.loads(line) for line in read]
    assert all(set(row) == {"text"} for row in rows)
    return [row["text"] for row in rows]


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_that_the_data_step_reads(tmp_path: Path, name: str) -> None:
    rows = [{"text": row["text"]} for row in numbered(7)]
    made = stage(tmp_path, WRITERS[name](tmp_path / name, rows))
    assert lines(made) == [row["text"] for row in rows]
    assert (made.rows, made.notes) == (7, {})
    assert Texts.read(made.path) == made
    assert KINDS["texts"] is Texts
    assert stage_class("texts") is ImportTexts


def test_a_plain_file_has_one_text_a_line(tmp_path: Path) -> None:
    file = tmp_path / "a.TXT"
    file.write_bytes('\ufeffnaïve, "quoted"\r\n\n  \n{}\tx\u2028y\nlast'.encode())
    made = stage(tmp_path, file)
    assert lines(made) == ['naïve, "quoted"', "{}\tx\u2028y", "last"]
    assert "naïve" in made.file.read_text(encoding="utf-8")


def test_another_column_may_hold_the_text(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", [{"body": "x", "text": "y"}])
    assert lines(stage(tmp_path, file, text_column="body")) == ["x"]
    with pytest.raises(DataError, match=r"no column 'bodi' \(text_column\).*mean 'body'"):
        stage(tmp_path, file, text_column="bodi")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"no column 'body' \(text_column\); it has 'text'"):
        stage(tmp_path, tmp_path / "a.txt", text_column="body")


@pytest.mark.parametrize("limit", [1, 3, 5, 99])
def test_a_limit_takes_the_first(tmp_path: Path, limit: int) -> None:
    rows = numbered(5)
    made = stage(tmp_path, write_jsonl(tmp_path / "a.jsonl", rows), limit=limit)
    assert lines(made) == [row["text"] for row in rows[:limit]]
    assert made.rows == min(limit, 5)


def test_what_lies_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\nnonsense\n')
    assert lines(stage(tmp_path, tmp_path / "a.jsonl", limit=1)) == ["x"]


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError):
        ImportTexts(file=Source("x"), limit=0)


@pytest.mark.parametrize("bad", ['{"text": " "}', '{"text": null}', '{"text": 7}', '{"x": "y"}'])
def test_bad_rows_are_refused_or_skipped_and_counted(tmp_path: Path, bad: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"text": "x"}}\n{bad}\n{{"text": "y"}}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: "):
        stage(tmp_path, tmp_path / "a.jsonl")
    made = stage(tmp_path, tmp_path / "a.jsonl", bad_rows="skip")
    assert (lines(made), made.rows, made.notes) == (["x", "y"], 2, {"rows skipped": 1})


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
@pytest.mark.parametrize("content", [b"", b"\n \n"], ids=["empty", "blank"])
def test_a_file_without_texts(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: holds no texts"):
        stage(tmp_path, tmp_path / name)


def test_nothing_but_bad_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": ""}\n')
    with pytest.raises(DataError, match="holds no texts"):
        stage(tmp_path, tmp_path / "a.jsonl", bad_rows="skip")


@pytest.mark.parametrize("skip", ["refuse", "skip"])
def test_what_is_not_utf_8_is_named(tmp_path: Path, skip: str) -> None:
    (tmp_path / "a.txt").write_bytes(b"fine\n" * 3000 + b"caf\xe9\n")
    with pytest.raises(DataError, match=r"a\.txt:3001: not UTF-8; convert the file"):
        stage(tmp_path, tmp_path / "a.txt", bad_rows=skip)
    assert not (tmp_path / "into" / "texts.jsonl").exists()


def test_other_files_and_none(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"cannot read \.xlsx"):
        stage(tmp_path, tmp_path / "a.xlsx")
    with pytest.raises(UsageError, match="no such file"):
        stage(tmp_path, tmp_path / "b.txt")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("w") as file:
        file.writelines(f"{n} {'long ' * 2000}\n" for n in range(2000))
    stage(tmp_path, tmp_path / "a.txt", limit=1)
    tracemalloc.start()
    try:
        assert stage(tmp_path, tmp_path / "a.txt").rows == 2000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
