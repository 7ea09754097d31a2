from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgepipe.bundle import manifest
from edgepipe.errors import BundleError, ExitCode, UsageError
from edgepipe.runtime import manifest as light
from tests.bundle.variants import variant


@pytest.fixture
def described(tmp_path: Path) -> Path:
    """The folder of an OnnxModel with its manifest."""
    model = variant(tmp_path / "model", "int8")
    manifest.describe(model)
    return model.path


def test_one_model_describes_itself(described: Path) -> None:
    found = manifest.read(described)
    assert [v.name for v in found.variants] == ["int8"]
    assert set(found.files) == {
        "config.json", "golden.jsonl", "model.onnx", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    written = (described / "edgepipe.json").read_bytes()
    manifest.write(found, described)
    assert (described / "edgepipe.json").read_bytes() == written


def test_the_runtime_reads_what_is_written_here(described: Path) -> None:
    """Two readers of one schema: the runtime's has no pydantic."""
    ours, theirs = manifest.read(described), light.read(described)
    assert theirs.labels == ours.labels
    assert (theirs.max_length, theirs.tokenizer) == (ours.max_length, ours.tokenizer)
    assert theirs.problem_type == ours.problem_type == "single_label_classification"
    (variant_,) = theirs.variants
    assert variant_.devices == ("cpu",)
    assert variant_.graphs["model"].file == "model.onnx"


@pytest.mark.parametrize(
    "config", ['{"problem_type": "ranking"}', "[]", "{", '{"problem_type": 1}']
)
def test_an_unknown_problem_type_is_refused(tmp_path: Path, config: str) -> None:
    model = variant(tmp_path / "model")
    (model.path / "config.json").write_text(config)
    with pytest.raises(BundleError, match=r"config\.json: no readable problem_type"):
        manifest.describe(model)


def changed(**changes: Any) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return change


def doubled(*names: str) -> Callable[[Path], None]:
    """The one variant under each of the names."""

    def change(file: Path) -> None:
        (one,) = json.loads(file.read_text())["variants"]
        changed(variants=[{**one, "name": name} for name in names])(file)

    return change


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda file: file.unlink(), "not a bundle: no readable edgepipe.json"),
        (lambda file: file.write_bytes(b"\xff"), "edgepipe.json: "),
        (lambda file: file.write_text("{"), "edgepipe.json: edgepipe.json: Invalid JSON"),
        (lambda file: file.write_text("[]"), "edgepipe.json: edgepipe.json: Input should be an ob"),
        (changed(schema=2), "edgepipe.json: schema: Input should be 1"),
        (changed(labels="no"), "edgepipe.json: labels: Input should be a valid array"),
        (changed(variants=[{}]), "edgepipe.json: variants.0.name: Field required"),
        (doubled("int8", "int8"), "edgepipe.json: variants: Value error, two variants are called"),
        (doubled("int8", "auto"), "variants: Value error, no variant may be called 'auto'"),
        (changed(problem_type="ranking"), "edgepipe.json: problem_type: Input should be"),
        (changed(more=1), "edgepipe.json: more: Extra inputs are not permitted"),
    ],
)
def test_what_is_damaged_or_of_another_schema(
    described: Path, damage: Callable[[Path], None], problem: str
) -> None:
    damage(described / "edgepipe.json")
    with pytest.raises(BundleError) as caught:
        manifest.read(described)
    assert str(caught.value).startswith(str(described))
    assert problem in str(caught.value)


def test_no_bundle_at_all_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no bundle at") as caught:
        manifest.read(tmp_path / "absent")
    assert caught.value.exit_code is ExitCode.USAGE
