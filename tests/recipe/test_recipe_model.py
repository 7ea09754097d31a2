from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgepipe.errors import UsageError
from edgepipe.recipe import ModelGuess, look_at_model
from edgepipe.sources import Source
from tests.recipe.folders import classifier, model, onnx_file

LABELS = ("neg", "pos")


def look(place: Path, labels: tuple[str, ...] = LABELS, *texts: str, **task: str) -> ModelGuess:
    return look_at_model(Source(str(place)), labels, texts or ("good film",), task.get("task"))


@pytest.mark.parametrize("architecture", ["BertModel", "BertForMaskedLM", None])
def test_a_model_without_a_head_is_a_base(tmp_path: Path, architecture: str | None) -> None:
    found = look(model(tmp_path / "m", architecture))
    assert (found.kind, found.layers, found.labels) == ("base", 6, ())
    assert "without a classification head" in found.why


@pytest.mark.parametrize("labels", [LABELS, ("pos",), ("0", "1")])
def test_a_classifier_for_these_labels_is_used_as_it_is(
    tmp_path: Path, labels: tuple[str, ...]
) -> None:
    found = look(classifier(tmp_path / "m", "pos", "neg"), labels)
    assert (found.kind, found.labels) == ("classifier", ("pos", "neg"))


@pytest.mark.parametrize("labels", [("neg", "neutral"), ("0", "1", "2"), ("0", "2")])
def test_a_classifier_for_other_labels_is_a_base(tmp_path: Path, labels: tuple[str, ...]) -> None:
    found = look(classifier(tmp_path / "m", "neg", "pos"), labels)
    assert (found.kind, found.labels) == ("base", ())
    assert "whose 2 labels are not those of the data" in found.why


def test_a_model_for_another_task_wants_the_task_said(tmp_path: Path) -> None:
    place = model(tmp_path / "m", "BertForTokenClassification")
    with pytest.raises(UsageError, match="is for token-classification; give --task text-class"):
        look(place)
    assert look(place, task="text-classification").kind == "base"


@pytest.mark.parametrize(
    ("model_type", "hint"),
    [("whisper", ""), ("no-such-thing-at-all", ""), ("robeta", "; did you mean 'roberta'?")],
)
def test_an_architecture_that_cannot_classify_is_refused(
    tmp_path: Path, model_type: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        look(model(tmp_path / "m", None, model_type=model_type))
    told = f"transformers knows no {model_type!r} for text-classification{hint}"
    assert str(caught.value) == f"{tmp_path / 'm'}: {told}"


def test_unknown_tokens_and_long_texts_are_counted(tmp_path: Path) -> None:
    """By hand: 3 of 10 tokens are unknown, one text of two has more than 4 tokens."""
    place = model(tmp_path / "m", max_position_embeddings=4)
    found = look(place, LABELS, "good film here", "good good bad new film film old")
    assert (found.unknown, found.truncated, found.limit) == (0.3, 0.5, 4)


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        ({}, 16),
        ({"model_type": "roberta", "pad_token_id": 1, "max_position_embeddings": 514}, 512),
        ({"model_type": "roberta", "pad_token_id": None, "max_position_embeddings": 514}, 514),
        ({"max_position_embeddings": None}, 512),
        ({"max_position_embeddings": -1}, 512),
    ],
)
def test_the_tokens_that_a_model_reads(tmp_path: Path, config: dict[str, Any], limit: int) -> None:
    assert look(model(tmp_path / "m", None, **config)).limit == limit


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda m: (m / "config.json").unlink(), "no readable config.json"),
        (lambda m: (m / "config.json").write_text("{"), "no readable config.json"),
        (lambda m: (m / "config.json").write_text("[]"), "config.json names no model_type"),
        (lambda m: (m / "config.json").write_text("{}"), "config.json names no model_type"),
        (lambda m: (m / "tokenizer.json").write_text("{"), "tokenizer.json is damaged"),
    ],
)
def test_what_is_no_model(tmp_path: Path, damage: Any, problem: str) -> None:
    place = model(tmp_path / "m")
    damage(place)
    with pytest.raises(UsageError, match=problem):
        look(place)


@pytest.mark.parametrize("id2label", [{"0": "a", "2": "b"}, {"x": "a"}, ["a", "b"], 3])
def test_an_odd_id2label_is_refused(tmp_path: Path, id2label: object) -> None:
    place = model(tmp_path / "m", "BertForSequenceClassification", id2label=id2label)
    with pytest.raises(UsageError, match=r"config\.json has an odd id2label"):
        look(place)


def test_ten_labels_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = tuple(f"label {n}" for n in range(12))
    assert look(classifier(tmp_path / "m", *names), names).labels == names


def test_other_files_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    with pytest.raises(UsageError, match=r"a model is a folder or an \.onnx file"):
        look(tmp_path / "model.bin")
    with pytest.raises(UsageError, match="there is no such file or folder"):
        look(tmp_path / "absent")


@pytest.mark.parametrize("file", ["model.onnx", "onnx/model.onnx"])
@pytest.mark.parametrize("folder", [False, True])
def test_an_onnx_file_or_a_folder_of_nothing_else(
    tmp_path: Path, file: str, *, folder: bool
) -> None:
    place = classifier(tmp_path / "m", "pos", "neg")
    onnx_file(place / file)
    found = look(place if folder else place / file)
    assert (found.kind, found.labels, found.limit) == ("onnx", ("pos", "neg"), 16)


def test_a_folder_that_has_weights_too_is_a_checkpoint(tmp_path: Path) -> None:
    place = classifier(tmp_path / "m", "neg", "pos")
    onnx_file(place / "onnx" / "model.onnx")
    (place / "model.safetensors").touch()
    assert look(place).kind == "classifier"


def test_an_onnx_file_for_other_labels_is_refused(tmp_path: Path) -> None:
    place = classifier(tmp_path / "m", "a", "b")
    with pytest.raises(UsageError, match="names the labels a, b, and the data has neg, pos"):
        look(onnx_file(place / "model.onnx"))


def test_an_onnx_file_alone_takes_the_datas_labels_and_says_so(tmp_path: Path) -> None:
    found = look(onnx_file(tmp_path / "deep" / "er" / "m.onnx"))
    assert (found.kind, found.labels) == ("onnx", LABELS)
    assert "is a guess" in found.why


def test_a_configuration_without_labels_means_two(tmp_path: Path) -> None:
    place = model(tmp_path / "m", "BertForSequenceClassification")
    assert "id2label" not in json.loads((place / "config.json").read_text())
    assert look(place, ("0", "1")).labels == ("LABEL_0", "LABEL_1")
    assert look(place, ("a", "b", "c")).kind == "base"
