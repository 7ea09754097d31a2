"""The runtime answers what transformers' own pipeline answers."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TextClassificationPipeline,
)

from edgepipe.bundle import manifest
from edgepipe.runtime import load
from edgepipe.runtime.manifest import read
from tests.contracts.tiny_bundles import MAX_LENGTH, TEXTS, Family, TinyModel, build


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["bert", "roberta"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    family: Family = request.param
    return build(tmp_path_factory.mktemp(family), family)


def pipeline_of(checkpoint: Path) -> TextClassificationPipeline:
    return TextClassificationPipeline(
        model=AutoModelForSequenceClassification.from_pretrained(checkpoint),
        tokenizer=AutoTokenizer.from_pretrained(checkpoint),
        device="cpu",
    )


def answers_of(pipeline: TextClassificationPipeline, texts: Any, **settings: Any) -> Any:
    """Truncated as the runtime truncates."""
    return pipeline(texts, truncation=True, max_length=MAX_LENGTH, **settings)


@pytest.fixture(scope="module")
def pipeline(tiny: TinyModel) -> TextClassificationPipeline:
    return pipeline_of(tiny.checkpoint)


def flat(answers: Any) -> list[Any]:
    """Nested answers as (shape marker, label, score), so that approx can compare the scores."""
    if isinstance(answers, dict):
        assert set(answers) == {"label", "score"}
        assert type(answers["score"]) is float
        return [answers["label"], pytest.approx(answers["score"], abs=2e-5)]
    assert isinstance(answers, list)
    return [flat(answer) for answer in answers]


def plain(answers: Any) -> list[Any]:
    if isinstance(answers, dict):
        return [answers["label"], answers["score"]]
    return [plain(answer) for answer in answers]


CALLS: list[dict[str, Any]] = [{}, {"top_k": None}, {"top_k": 1}, {"top_k": 2}]


@pytest.mark.parametrize("settings", CALLS, ids=str)
@pytest.mark.parametrize(
    "texts", [TEXTS, TEXTS[:1], TEXTS[0], ""], ids=["many", "one", "str", "''"]
)
def test_answers_and_their_shapes(
    tiny: TinyModel, pipeline: TextClassificationPipeline, texts: Any, settings: dict[str, Any]
) -> None:
    with load(tiny.fp32.path, threads=1) as classifier:
        found = classifier(texts, **settings)
    assert plain(found) == flat(answers_of(pipeline, texts, **settings))


def test_the_tiny_models_tell_texts_apart(
    tiny: TinyModel, pipeline: TextClassificationPipeline
) -> None:
    """Else agreement would prove little."""
    scores = [answer["score"] for answer in answers_of(pipeline, TEXTS)]
    assert max(scores) - min(scores) > 0.1


@pytest.mark.parametrize("exact", [False, True])
def test_logits(tiny: TinyModel, pipeline: TextClassificationPipeline, exact) -> None:
    expected = answers_of(pipeline, TEXTS, top_k=None, function_to_apply="none")
    ordered = [
        [next(a["score"] for a in row if a["label"] == name) for name in tiny.fp32.labels]
        for row in expected
    ]
    with load(tiny.bundle, variant="fp32", threads=1) as classifier:
        found = classifier.logits(TEXTS, exact=exact)
    assert found == pytest.approx(np.array(ordered), abs=5e-5)


def test_a_stream(tiny: TinyModel, pipeline: TextClassificationPipeline) -> None:
    with load(tiny.fp32.path, threads=1) as classifier:
        found = list(classifier.stream(iter(TEXTS), window=4))
    assert plain(found) == flat(answers_of(pipeline, TEXTS))


@pytest.mark.parametrize(
    ("labels", "problem_type"),
    [
        (2, "multi_label_classification"),
        (2, "regression"),
        (2, "single_label_classification"),
        (2, None),
        (1, "multi_label_classification"),
        (1, "regression"),
        (1, None),  # transformers takes a single label of a single-label problem for a mistake
    ],
)
def test_the_problem_type_decides_how_scores_are_made(
    problem_types: dict[int, TinyModel], tmp_path: Path, labels: int, problem_type: str | None
) -> None:
    tiny = problem_types[labels]
    checkpoint, onnx = (
        Path(shutil.copytree(path, tmp_path / path.name))
        for path in (tiny.checkpoint, tiny.fp32.path)
    )
    for folder in (checkpoint, onnx):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "problem_type": problem_type}))
    manifest.describe(tiny.fp32.model_copy(update={"path": onnx}))
    pipeline = pipeline_of(checkpoint)
    with load(onnx, threads=1) as classifier:
        assert plain(classifier(TEXTS)) == flat(answers_of(pipeline, TEXTS))
        assert plain(classifier(TEXTS, top_k=None)) == flat(answers_of(pipeline, TEXTS, top_k=None))


@pytest.fixture(scope="module")
def problem_types(tmp_path_factory: pytest.TempPathFactory) -> dict[int, TinyModel]:
    """By the number of labels; ``problem_type`` is written into copies."""
    named: list[tuple[str, ...]] = [("spam",), ("low", "high")]
    return {len(some): build(tmp_path_factory.mktemp("p"), "bert", some) for some in named}


def test_exact_int8_answers_do_not_depend_on_batch_mates(tiny: TinyModel) -> None:
    with load(tiny.bundle, variant="int8", threads=1) as classifier:
        assert not classifier.explain()["batch_invariant"]
        alone = np.concatenate([classifier.logits([text]) for text in TEXTS])
        assert np.array_equal(classifier.logits(TEXTS, exact=True), alone)
        assert not np.allclose(classifier.logits(TEXTS), alone, atol=1e-6)


def test_both_manifest_modules_read_the_same(tiny: TinyModel) -> None:
    written = manifest.read(tiny.bundle).model_dump(mode="json")
    found = dataclasses.asdict(read(tiny.bundle))
    for variant in written["variants"]:
        assert variant.keys() - {"accuracy"} == found["variants"][0].keys()
        del variant["accuracy"]
    assert as_json(found) == {key: written.get(key, found[key]) for key in found}
    assert written.keys() - found.keys() == {"schema_version", "provenance", "data", "tools"}


def as_json(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, (list, tuple)) else value


def test_auto_prefers_the_first_variant(tiny: TinyModel) -> None:
    assert load(tiny.bundle).explain()["variant"] == "int8"
