from __future__ import annotations

import itertools
import json
import tracemalloc
from collections import Counter
from pathlib import Path

import datasets
import pytest
from pydantic import ValidationError

from edgepipe import disk
from edgepipe.artifacts import Dataset
from edgepipe.data import Columns
from edgepipe.errors import DataError, StageError
from edgepipe.sources import Source
from edgepipe.stage import Work
from edgepipe.stages.data import Data, Inputs
from tests.data.tables import WRITERS, built, numbered, read, write_csv, write_jsonl


def stage(tmp_path: Path, **settings):
    into = disk.make_folder(tmp_path / "into")
    return Data(**settings)(Inputs(), into, Work(path=tmp_path))


def test_given_splits_are_kept_as_they_are(tmp_path: Path) -> None:
    files = {
        split: write_csv(tmp_path / f"{split}.csv", numbered(count))
        for split, count in (("train", 5), ("validation", 3), ("test", 2))
    }
    made = built(tmp_path / "into", files)
    assert made.labels == ("bad", "good")
    for split, file in files.items():
        wanted = numbered(len(file.read_text().splitlines()) - 1)
        index = {"bad": 0, "good": 1}
        assert read(made, split) == [
            {"text": row["text"], "label": index[row["label"]]} for row in wanted
        ]
    assert made.splits["train"].rows == 5
    assert made.splits["train"].label_counts == (3, 2)


def test_missing_splits_are_made_and_together_are_the_file(tmp_path: Path) -> None:
    rows = numbered(100, ("a", "b", "b", "b", "b"))
    made = built(tmp_path / "into", {"train": write_csv(tmp_path / "a.csv", rows)})
    found = {split: [row["text"] for row in read(made, split)] for split in made.splits}
    assert {split: len(texts) for split, texts in found.items()} == {
        "train": 70,
        "validation": 10,
        "test": 20,
    }
    assert sorted(itertools.chain(*found.values())) == sorted(row["text"] for row in rows)
    assert made.splits["test"].label_counts == (4, 16)
    order = [row["text"] for row in rows]
    assert all(texts == sorted(texts, key=order.index) for texts in found.values())


@pytest.mark.parametrize("given", ["validation", "test"])
def test_only_the_missing_split_is_taken_from_the_training_file(tmp_path: Path, given: str) -> None:
    files = {"train": write_csv(tmp_path / "a.csv", numbered(100)),
             given: write_csv(tmp_path / "b.csv", numbered(4))}  # fmt: skip
    made = built(tmp_path / "into", files)
    assert made.splits[given].rows == 4
    assert made.splits["train"].rows == (80 if given == "validation" else 90)


@pytest.mark.parametrize("name", WRITERS)
def test_the_format_makes_no_difference(tmp_path: Path, name: str) -> None:
    rows = numbered(60)
    plain = built(tmp_path / "plain", {"train": write_csv(tmp_path / "x.csv", rows)})
    other = built(tmp_path / "other", {"train": WRITERS[name](tmp_path / name, rows)})
    assert disk.digest(plain.path) == disk.digest(other.path)


def test_the_seed_decides_and_nothing_else(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", numbered(60))
    once, again, other = (
        disk.digest(built(tmp_path / str(n), {"train": file}, seed=seed).path)
        for n, seed in enumerate((1, 1, 2))
    )
    assert once == again != other


def test_overlaps_between_given_splits_are_counted(tmp_path: Path) -> None:
    """By hand: validation shares one text with train, test two, one of them in both."""
    files = {
        "train": ["one", "two", "three", "two"],
        "validation": ["TWO", "four"],
        "test": ["two ", "one", "five"],
    }
    paths = {
        split: write_jsonl(
            tmp_path / f"{split}.jsonl",
            [{"text": text, "label": n % 2} for n, text in enumerate(texts)],
        )
        for split, texts in files.items()
    }
    assert built(tmp_path / "into", paths).notes == {
        "duplicates train/validation": 1,
        "duplicates train/test": 2,
        "duplicates validation/test": 1,
    }


def test_duplicates_never_cross_splits_that_are_made(tmp_path: Path) -> None:
    rows = numbered(60) * 3
    made = built(tmp_path / "into", {"train": write_csv(tmp_path / "a.csv", rows)})
    assert set(made.notes.values()) == {0}
    assert sum(split.rows for split in made.splits.values()) == 180


def test_an_unknown_label_of_another_split_names_file_and_line(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "a.csv", numbered(20))
    odd = write_csv(tmp_path / "v.csv", [*numbered(3), {"text": "x", "label": "god"}])
    with pytest.raises(DataError) as caught:
        built(tmp_path / "into", {"train": train, "validation": odd})
    assert str(caught.value) == (
        f"{odd}:5: unknown label 'god' (labels: bad, good); did you mean 'good'?"
    )


def test_skipped_rows_are_counted(tmp_path: Path) -> None:
    rows = [*numbered(20), {"text": " ", "label": "bad"}, {"text": "x", "label": ""}]
    file = write_csv(tmp_path / "a.csv", rows)
    with pytest.raises(DataError, match=":22: empty text"):
        built(tmp_path / "into", {"train": file})
    made = built(tmp_path / "into", {"train": file}, use=Columns(skip_bad_rows=True))
    assert made.notes["rows skipped"] == 2
    assert sum(split.rows for split in made.splits.values()) == 20


def test_numbers_are_indices_and_may_be_named(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "label": n % 2} for n in range(20)]
    file = write_jsonl(tmp_path / "a.jsonl", rows)
    assert built(tmp_path / "plain", {"train": file}).labels == ("0", "1")
    named = built(tmp_path / "named", {"train": file}, labels=("bad", "good"))
    assert named.labels == ("bad", "good")
    assert {
        (row["text"], row["label"]) for split in named.splits for row in read(named, split)
    } == {(row["text"], row["label"]) for row in rows}


def saved(path: Path, names: list[str], labels: list[int]) -> Path:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    )
    rows = [{"text": f"t{n}", "label": label} for n, label in enumerate(labels)]
    datasets.Dataset.from_list(rows, features=features).save_to_disk(path)
    return path


def test_a_saved_dataset_keeps_the_order_of_its_own_labels(tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved", ["yes", "never", "no"], [0, 2] * 10)
    made = built(tmp_path / "into", {"train": folder})
    assert made.labels == ("yes", "no")
    asked = built(tmp_path / "asked", {"train": folder}, labels=("no", "yes"))
    assert asked.labels == ("no", "yes")


def test_text_that_json_would_escape_is_written_plainly(tmp_path: Path) -> None:
    rows = [*numbered(20), {"text": "naïve 日本 😀\u2028 end", "label": "good"}]
    made = built(tmp_path / "into", {"train": write_jsonl(tmp_path / "a.jsonl", rows)})
    everything = "".join((made.path / f"{split}.jsonl").read_text() for split in made.splits)
    assert "naïve 日本 😀" in everything
    assert sum(len(read(made, split)) for split in made.splits) == 21


def test_memory_does_not_grow_with_the_length_of_the_texts(tmp_path: Path) -> None:
    """20 MB in 2,000 rows; a list of the texts alone would be as large as the file."""
    path = tmp_path / "long.jsonl"
    with path.open("w") as file:
        for n in range(2000):
            file.write(json.dumps({"text": f"{n} " + "long" * 2500, "label": n % 2}) + "\n")
    assert path.stat().st_size > 20_000_000
    built(tmp_path / "warm", {"train": write_csv(tmp_path / "a.csv", numbered(20))})
    tracemalloc.start()
    try:
        built(tmp_path / "into", {"train": path})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


# ---- kept columns -------------------------------------------------------------------------------


def sourced(count: int) -> list[dict[str, object]]:
    return [{**row, "source": ("imdb", "yelp", "")[n % 3], "stars": n % 5}
            for n, row in enumerate(numbered(count))]  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_kept_columns_go_along_in_every_format(tmp_path: Path, name: str) -> None:
    file = WRITERS[name](tmp_path / name, sourced(60))
    made = built(tmp_path / "into", {"train": file}, use=Columns(keep=("source", "stars")))
    assert made.columns == ("source", "stars")
    index = {"bad": 0, "good": 1}
    wanted = {
        str(row["text"]): {
            "text": row["text"],
            "label": index[str(row["label"])],
            "columns": {"source": row["source"], "stars": str(row["stars"])},
        }
        for row in sourced(60)
    }
    found = [row for split in made.splits for row in read(made, split)]
    assert {row["text"]: row for row in found} == wanted
    assert len(found) == 60


def test_without_kept_columns_nothing_is_different(tmp_path: Path) -> None:
    """By the bytes and the record that this program has always written."""
    files = {split: write_csv(tmp_path / f"{split}.csv", sourced(4))
             for split in ("train", "validation", "test")}  # fmt: skip
    made = built(tmp_path / "into", files).commit()
    lines = [f'{{"text": "text number {n}", "label": {n % 2}}}\n' for n in range(4)]
    assert (made.path / "train.jsonl").read_text() == "".join(lines)
    record = json.loads((made.path / "artifact.json").read_text())
    assert set(record["fields"]) == {"labels", "splits", "notes"}
    assert Dataset.read(made.path) == made


def test_kept_columns_change_neither_splits_nor_what_training_reads(tmp_path: Path) -> None:
    from edgepipe.measure.texts import column, examples
    from edgepipe.training.encode import read_rows

    file = {"train": write_csv(tmp_path / "a.csv", sourced(60))}
    plain = built(tmp_path / "plain", file)
    kept = built(tmp_path / "kept", file, use=Columns(keep=("source",))).commit()
    assert Dataset.read(kept.path).columns == ("source",)
    assert kept.splits == plain.splits
    for split in plain.splits:
        pair = [list(read_rows(made.file(split))) for made in (plain, kept)]
        assert pair[0] == pair[1]
        assert list(examples(kept, split)) == pair[0]
        assert list(column(kept, split, "source")) == [
            row["columns"]["source"] for row in read(kept, split)
        ]


def test_a_kept_column_that_a_file_lacks_is_one_clear_error(tmp_path: Path) -> None:
    files = {"train": write_csv(tmp_path / "a.csv", sourced(20)),
             "test": write_csv(tmp_path / "b.csv", numbered(4))}  # fmt: skip
    with pytest.raises(DataError) as caught:
        built(tmp_path / "into", files, use=Columns(keep=("source",)))
    assert str(caught.value) == (
        f"{files['test']}: has no column 'source' (keep); it has 'text', 'label'"
    )
    with pytest.raises(DataError, match=r"has no column 'sources' \(keep\).*mean 'source'"):
        built(tmp_path / "into", files, use=Columns(keep=("sources",)))


@pytest.mark.parametrize(
    ("value", "written"), [(True, "true"), (None, ""), (2.5, "2.5"), (" a ", "a"), (7, "7")]
)
def test_kept_values_are_text(tmp_path: Path, value: object, written: str) -> None:
    rows = [{**row, "kept": value} for row in numbered(20)]
    file = write_jsonl(tmp_path / "a.jsonl", rows)
    made = built(tmp_path / "into", {"train": file}, use=Columns(keep=("kept",)))
    assert {row["columns"]["kept"] for row in read(made, "train")} == {written}


@pytest.mark.parametrize(
    ("value", "problem"),
    [([1], "neither text nor a number"), ("x" * 201, "201 characters.* have 200 at most")],
)
def test_values_that_make_no_slices(tmp_path: Path, value: object, problem: str) -> None:
    rows = [*numbered(20), {"text": "x", "label": "bad", "kept": value}]
    rows = [{"kept": "a", **row} for row in rows]
    file = write_jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match=f":21: .*{problem}"):
        built(tmp_path / "into", {"train": file}, use=Columns(keep=("kept",)))
    skipping = Columns(keep=("kept",), skip_bad_rows=True)
    assert built(tmp_path / "into", {"train": file}, use=skipping).notes["rows skipped"] == 1


def test_a_saved_dataset_names_kept_numbers_itself(tmp_path: Path) -> None:
    features = datasets.Features({
        "text": datasets.Value("string"), "label": datasets.Value("string"),
        "source": datasets.ClassLabel(names=["imdb", "yelp"]),
    })  # fmt: skip
    rows = [{**row, "source": n % 2} for n, row in enumerate(numbered(20))]
    datasets.Dataset.from_list(rows, features=features).save_to_disk(tmp_path / "saved")
    made = built(tmp_path / "into", {"train": tmp_path / "saved"}, use=Columns(keep=("source",)))
    assert {row["columns"]["source"] for row in read(made, "train")} == {"imdb", "yelp"}


@pytest.mark.parametrize(
    ("keep", "problem"),
    [(("length",), "slices by 'length'"), (("label",), "by 'label'"), (("a", "a"), "twice: a, a")],
)
def test_columns_that_cannot_be_kept(keep: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Data(train=Source("x"), keep=keep)


def test_the_stage_keeps_columns(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", sourced(60))
    made = stage(tmp_path, train=Source(str(file)), keep=("source",))
    assert made.columns == ("source",)
    assert all(set(row["columns"]) == {"source"} for row in read(made, "test"))


# ---- the stage ----------------------------------------------------------------------------------


def test_the_stage_reads_a_file_that_a_package_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "shipped_texts"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('nobody may import this')")
    write_csv(package / "a.csv", numbered(20))
    monkeypatch.syspath_prepend(tmp_path)
    made = stage(tmp_path, train=Source("pkg://shipped_texts/a.csv"))
    assert made.digest
    assert made.splits["train"].rows == 14


def test_a_dict_of_datasets_brings_its_splits_and_more_may_be_given(tmp_path: Path) -> None:
    parts = {
        split: datasets.Dataset.from_list(numbered(count))
        for split, count in (("train", 40), ("test", 6))
    }
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "dict")
    made = stage(tmp_path, train=Source(str(tmp_path / "dict")))
    rows = {split: record.rows for split, record in made.splits.items()}
    assert rows == {"train": 36, "validation": 4, "test": 6}


def test_a_dict_of_datasets_without_a_training_split(tmp_path: Path) -> None:
    only = datasets.DatasetDict({"test": datasets.Dataset.from_list(numbered(4))})
    only.save_to_disk(tmp_path / "dict")
    with pytest.raises(DataError, match="no training split among test"):
        stage(tmp_path, train=Source(str(tmp_path / "dict")))


def test_a_class_that_nobody_can_learn_is_refused(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", numbered(20))
    with pytest.raises(StageError, match="label 'ugly' never occurs in the training split"):
        stage(tmp_path, train=Source(str(file)), labels=("bad", "good", "ugly"))


def test_a_validation_split_is_needed(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", numbered(20))
    with pytest.raises(StageError, match="no validation split, and its share is 0"):
        stage(tmp_path, train=Source(str(file)), validation_share=0.0)


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", numbered(20, ("same",)))
    with pytest.raises(DataError, match=r"two classes or more, the data has \['same'\]"):
        stage(tmp_path, train=Source(str(file)))


def test_shares_that_leave_nothing_are_refused_before_anything_runs() -> None:
    with pytest.raises(ValidationError, match="leave nothing to train on"):
        Data(train=Source("x"), validation_share=0.5, test_share=0.5)


def test_labels_are_counted_as_written(tmp_path: Path) -> None:
    rows = numbered(50, ("a", "b", "c", "c", "c"))
    made = stage(tmp_path, train=Source(str(write_csv(tmp_path / "a.csv", rows))))
    for split, record in made.splits.items():
        written = Counter(row["label"] for row in read(made, split))
        assert record.label_counts == tuple(written[n] for n in range(3))
