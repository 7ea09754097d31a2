from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from edgepipe.config import parse
from edgepipe.recipe import DataGuess, ModelGuess, render

FOUND = DataGuess(text="text", label="label", labels=("a", "b"), texts=("x",), splits=("train",))


def written(
    file: Path,
    guess: ModelGuess,
    found: DataGuess = FOUND,
    model: str | None = None,
    **files: Path,
) -> str:
    """The recipe for a model folder and data that are there."""
    place = file.parent / "model"
    place.mkdir(parents=True, exist_ok=True)
    data = {"train": file.parent / "train.csv", **files}
    for path in data.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return render(model=model or str(place), data=data, found=found, guess=guess, file=file)


BASE = ModelGuess(kind="base", why="", layers=6)
CLASSIFIER = ModelGuess(kind="classifier", why="", layers=4, labels=("b", "a"))
ONNX = ModelGuess(kind="onnx", why="", labels=("b", "a"), limit=77)


@pytest.mark.parametrize(
    ("guess", "steps", "also"),
    [
        (BASE, ["data", "train", "distill", "export", "optimize", "quantize"], []),
        (CLASSIFIER, ["data", "checkpoint", "distill", "export", "optimize", "quantize"], []),
        (ONNX, ["data", "onnx", "quantize"], ["agreement"]),
    ],
)
def test_a_recipe_is_a_whole_pipeline_file(
    tmp_path: Path, guess: ModelGuess, steps: list[str], also: list[str]
) -> None:
    file = tmp_path / "reviews.toml"
    pipeline = parse(written(file, guess), file)
    assert pipeline.name == "reviews"
    uses = [step.use for step in pipeline.steps]
    assert uses == [*steps, "count", "validate", "benchmark", "package"]
    measures = [gate.measure for gate in pipeline.gates]
    assert measures == ["accuracy", "latency", "operators", *also]


@pytest.mark.parametrize(("layers", "half"), [(12, 6), (7, 3), (1, 1), (0, 1)])
def test_the_student_has_half_the_layers(tmp_path: Path, layers: int, half: int) -> None:
    file = tmp_path / "p.toml"
    guess = ModelGuess(kind="base", why="", layers=layers)
    steps = {step.name: step.stage for step in parse(written(file, guess), file).steps}
    assert steps["student"].layers == half


def test_labels_of_a_model_are_written_in_its_order(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    for guess in (CLASSIFIER, ONNX):
        steps = {step.use: step.stage for step in parse(written(file, guess), file).steps}
        assert steps["data"].labels == ("b", "a")
    assert steps["onnx"].labels == ("b", "a")
    assert steps["onnx"].max_length == 77
    assert "labels" not in tomllib.loads(written(file, BASE))["step"]["data"]


def test_paths_are_relative_to_the_file_wherever_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "deep" / "er" / "p.toml"
    text = written(file, BASE, train=tmp_path / "data" / "a.csv", model="model")
    (tmp_path / "model").mkdir()
    table = tomllib.loads(text)["step"]
    assert table["data"]["train"] == "../../data/a.csv"
    assert table["teacher"]["model"] == "../../model"
    assert str(tmp_path) not in text
    parse(text, file)


def test_models_from_elsewhere_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for given, kept in (
        ("pkg://a/b", "pkg://a/b"),
        ("hf://org/name@v1", "hf://org/name@v1"),
        ("~/model", "model"),
    ):
        text = written(tmp_path / "p.toml", BASE, model=given)
        assert tomllib.loads(text)["step"]["teacher"]["model"] == kept


def test_splits_of_their_own_are_named(tmp_path: Path) -> None:
    text = written(tmp_path / "p.toml", BASE, validation=tmp_path / "v.csv", test=tmp_path / "t")
    data = tomllib.loads(text)["step"]["data"]
    assert (data["validation"], data["test"]) == ("v.csv", "t")


AWKWARD = ('a "b"', "back\\slash", "tab\there", "naïve 日本 😀", "{curly}", "del\x7f", "#", "'")


@pytest.mark.parametrize("name", AWKWARD)
def test_any_name_of_column_label_or_file_survives(tmp_path: Path, name: str) -> None:
    file = tmp_path / "p.toml"
    found = DataGuess(text=name, label=name + "!", labels=(), texts=(), splits=())
    guess = ModelGuess(kind="classifier", why="", labels=(name, "other"))
    text = written(file, guess, found, train=tmp_path / f"{name}.csv")
    data = tomllib.loads(text)["step"]["data"]
    assert data["text_column"] == name
    assert data["label_column"] == name + "!"
    assert data["labels"] == [name, "other"]
    assert data["train"] == f"{name}.csv"
    parse(text, file)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("movie-reviews", "movie-reviews"),
        ("my reviews", "my-reviews"),
        ("données", "donn-es"),
        ("日本", "pipeline"),
        (".hidden", "hidden"),
        ("cache", "cache-run"),
        ("v1.2_x", "v1.2_x"),
    ],
)
def test_the_name_of_the_file_makes_a_name_that_is_allowed(
    tmp_path: Path, stem: str, name: str
) -> None:
    file = tmp_path / f"{stem}.toml"
    text = written(file, BASE)
    assert parse(text, file).name == name
    assert json.dumps(name) in text
