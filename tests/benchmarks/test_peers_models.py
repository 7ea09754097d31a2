"""Checkpoints with random weights: what transformers reads of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.peers import models
from edgepipe import api, disk
from edgepipe.config import load
from edgepipe.pipeline.graph import Step

ROOT = Path(__file__).parents[2]
REVIEWS = ROOT / "pipelines" / "data" / "movie-reviews"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a tokenizer made from texts."""
    out = tmp_path_factory.mktemp("models") / "small"
    models.random_model("small", REVIEWS, out, seed=0, max_length=48)
    return out


def test_a_random_model_has_its_shape_its_labels_and_its_length(small: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(small)
    config = model.config
    assert config.model_type == "bert"
    assert (config.num_hidden_layers, config.hidden_size) == (4, 312)
    assert (config.num_attention_heads, config.intermediate_size) == (12, 1200)
    assert config.max_position_embeddings == 512
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1"}
    tokenizer = AutoTokenizer.from_pretrained(small)
    assert tokenizer.model_max_length == 48
    assert len(tokenizer) == config.vocab_size


def test_the_tokenizer_of_a_checkpoint_is_taken_as_it_is(small: Path, tmp_path: Path) -> None:
    models.random_model("small", small, tmp_path / "again", seed=0, max_length=48)
    assert disk.digest(tmp_path / "again") == disk.digest(small)
    models.random_model("small", small, tmp_path / "other", seed=1)
    name = "tokenizer.json"
    assert disk.sha256(tmp_path / "other" / name) == disk.sha256(small / name)
    name = "model.safetensors"
    assert disk.sha256(tmp_path / "other" / name) != disk.sha256(small / name)


def step(file: Path, name: str) -> Step:
    return next(step for step in load(file).steps if step.name == name)


@pytest.mark.parametrize("name", ["reviews", "teacher"])
def test_the_teacher_is_that_of_the_demo(name: str) -> None:
    ours = step(ROOT / "benchmarks" / "peers" / "pipelines" / "teacher.toml", name).stage
    demo = step(ROOT / "pipelines" / "movie-reviews.toml", name).stage
    for field in type(demo).model_fields:
        mine, theirs = getattr(ours, field), getattr(demo, field)
        if hasattr(theirs, "locate"):
            mine, theirs = mine.locate(), theirs.locate()
        assert mine == theirs, field


def test_the_teacher_is_the_folder_of_the_trained_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = (ROOT / "pipelines" / "tiny.toml").read_text()
    file = tmp_path / "teacher.toml"
    file.write_text(tiny.partition("[step.student]")[0].replace("data/movie-reviews/", ""))
    for split in ("train", "validation", "test"):
        lines = (REVIEWS / f"{split}.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / f"{split}.jsonl").write_text("".join(lines[:200]))
    monkeypatch.setattr(models, "_TEACHER", file)
    found = models.teacher(tmp_path / "artifacts")
    assert (found / "model.safetensors").is_file()
    assert api.plan(file, root=tmp_path / "artifacts")[1].action == "reuse"
