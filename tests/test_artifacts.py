from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgepipe.artifacts import (
    KINDS,
    Artifact,
    Bundle,
    Checkpoint,
    Dataset,
    GraphRecord,
    OnnxModel,
    Provenance,
    Report,
    SessionSettings,
    SplitRecord,
    Texts,
)
from edgepipe.errors import BundleError, StageError

FROM = Provenance(source="pkg://x/model", sha256="ab" * 32, licence="apache-2.0")


def files(folder: Path) -> Path:
    """Two files, one of them in a folder of its own."""
    (folder / "onnx").mkdir(parents=True)
    (folder / "train.jsonl").write_text('{"text": "naïve", "label": 0}\n')
    (folder / "onnx" / "model.onnx").write_bytes(b"\x00\x01")
    return folder


def dataset(folder: Path) -> Dataset:
    split = SplitRecord(rows=3, label_counts=(1, 2))
    return Dataset(
        path=files(folder), labels=("no", "yes"), splits={"train": split}, notes={"dup": 1}
    )


def one_of_each(folder: Path) -> list[Artifact]:
    session = SessionSettings(disabled_optimizers=("X",), config_entries={"a": "1"})
    graph = GraphRecord(file="m.onnx", inputs=("ids",), outputs=("logits",), session=session)
    model = OnnxModel(
        path=files(folder / "o"), task="t", labels=("no", "yes"), max_length=16, precision="int8",
        graphs={"model": graph}, provenance=FROM, notes={"parity": {"max": 1e-6}, "list": [1]},
    )  # fmt: skip
    checkpoint = Checkpoint(
        path=files(folder / "c"), task="t", labels=("no", "yes"), max_length=16,
        model_type="bert", parameters=7, provenance=FROM, notes={"accuracy": 0.5},
    )  # fmt: skip
    return [
        dataset(folder / "d"),
        Texts(path=files(folder / "t"), rows=1, notes={"rows skipped": 2}),
        checkpoint,
        model,
        Report(path=files(folder / "r"), content="validation"),
        Bundle(path=files(folder / "b"), name="x", variants=("int8", "fp32")),
    ]


def test_every_kind_comes_back_as_it_was_committed(tmp_path: Path) -> None:
    made = one_of_each(tmp_path)
    assert [type(artifact) for artifact in made] == list(KINDS.values())
    for artifact in made:
        committed = artifact.commit()
        assert committed == artifact.model_copy(update={"digest": committed.digest})
        again = type(artifact).read(artifact.path)
        assert again == committed
        again.verify()


def test_the_record_names_every_file_with_size_and_sha256(tmp_path: Path) -> None:
    made = dataset(tmp_path / "d").commit()
    record = json.loads((made.path / "artifact.json").read_text())
    assert (record["schema"], record["kind"], record["digest"]) == (1, "dataset", made.digest)
    assert record["files"] == {
        name: {
            "bytes": (made.path / name).stat().st_size,
            "sha256": hashlib.sha256((made.path / name).read_bytes()).hexdigest(),
        }
        for name in ("train.jsonl", "onnx/model.onnx")
    }
    assert str(tmp_path) not in json.dumps(record)


def test_the_digest_speaks_of_content_and_not_of_place_or_time(tmp_path: Path) -> None:
    one, same = dataset(tmp_path / "one").commit(), dataset(tmp_path / "deep" / "two").commit()
    assert one.digest == same.digest
    assert one.commit().digest == one.digest
    other = dataset(tmp_path / "other")
    (other.path / "train.jsonl").write_text("else")
    renamed = dataset(tmp_path / "renamed").model_copy(update={"labels": ("yes", "no")})
    assert len({one.digest, other.commit().digest, renamed.commit().digest}) == 3


def rewritten(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        record = json.loads((folder / "artifact.json").read_text())
        change(record)
        (folder / "artifact.json").write_text(json.dumps(record))

    return damage


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda f: (f / "artifact.json").unlink(), "no readable artifact.json: "),
        (lambda f: (f / "artifact.json").write_text(""), "no readable artifact.json: "),
        (lambda f: (f / "artifact.json").write_bytes(b"\xff"), "no readable artifact.json: "),
        (lambda f: (f / "artifact.json").write_text("[1]"), "artifact.json is damaged: "),
        (lambda f: (f / "artifact.json").write_text("{}"), "artifact.json is damaged: "),
        (rewritten(lambda r: r.pop("files")), "artifact.json is damaged: "),
        (rewritten(lambda r: r.update(files=[1])), "artifact.json is damaged: "),
        (rewritten(lambda r: r.update(fields=3)), "artifact.json is damaged: "),
        (rewritten(lambda r: r["files"].update(x={})), "artifact.json is damaged: "),
        (rewritten(lambda r: r["files"].update(x=3)), "artifact.json is damaged: "),
        (rewritten(lambda r: r["fields"].update(labels=3)), "artifact.json is damaged: "),
        (rewritten(lambda r: r["fields"].update(extra=3)), "artifact.json is damaged: "),
        (rewritten(lambda r: r.update(schema=2, new={})), "has schema 2; this edgepipe reads sche"),
        (rewritten(lambda r: r.update(kind="bundle")), "holds a bundle, not a dataset"),
        (lambda f: (f / "train.jsonl").unlink(), "train.jsonl is missing or was cut short"),
        (lambda f: (f / "train.jsonl").write_text("{"), "train.jsonl is missing or was cut short"),
    ],
)  # fmt: skip
def test_what_is_damaged_is_refused_in_one_sentence(
    tmp_path: Path, damage: Callable[[Path], None], problem: str
) -> None:
    made = dataset(tmp_path / "d").commit()
    damage(made.path)
    with pytest.raises(BundleError) as caught:
        Dataset.read(made.path)
    assert str(made.path) in str(caught.value)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "changed"),
    [
        (lambda f: (f / "train.jsonl").write_text("x" * 31), "train.jsonl"),
        (lambda f: (f / "onnx" / "model.onnx").unlink(), "onnx/model.onnx"),
        (lambda f: (f / "more").write_text(""), "more"),
        (rewritten(lambda r: r["fields"].update(labels=["yes", "no"])), "artifact.json"),
        (rewritten(lambda r: r.update(digest="0" * 64)), "artifact.json"),
        (lambda f: [(f / n).write_text("") for n in ("z", "a")], "a, z"),
    ],
)
def test_verifying_finds_what_changed_came_or_went(
    tmp_path: Path, damage: Callable[[Path], None], changed: str
) -> None:
    made = dataset(tmp_path / "d").commit()
    made.verify()
    damage(made.path)
    with pytest.raises(BundleError) as caught:
        made.verify()
    assert str(caught.value).endswith(f"changed since it was made: {changed}")


def test_a_change_that_keeps_the_size_is_left_to_verify(tmp_path: Path) -> None:
    made = dataset(tmp_path / "d").commit()
    content = (made.path / "train.jsonl").read_bytes()
    (made.path / "train.jsonl").write_bytes(content[::-1])
    found = Dataset.read(made.path)
    with pytest.raises(BundleError, match=r"train\.jsonl"):
        found.verify()


@pytest.mark.parametrize("figure", [float("nan"), float("inf")])
def test_figures_that_json_cannot_hold_are_refused(tmp_path: Path, figure: float) -> None:
    _, _, checkpoint, model, *_ = one_of_each(tmp_path)
    for made in (checkpoint, model):
        diverged = made.model_copy(update={"notes": {"loss": figure}})
        with pytest.raises(StageError, match=f"the {made.kind} made holds NaN or infinity"):
            diverged.commit()
        assert not (made.path / "artifact.json").exists()


def test_an_artifact_is_not_to_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        dataset(tmp_path / "d").labels = ()  # type: ignore[misc]


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    made = dataset(tmp_path / "d")
    assert made.file("train") == made.path / "train.jsonl"
    with pytest.raises(StageError, match="has no 'test' split"):
        made.file("test")
