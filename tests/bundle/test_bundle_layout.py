from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from edgepipe import disk
from edgepipe.artifacts import Bundle, GraphRecord, OnnxModel, Provenance, SessionSettings
from edgepipe.bundle import layout, manifest
from edgepipe.bundle.manifest import Accuracy
from edgepipe.errors import BundleError, StageError
from edgepipe.runtime import manifest as light
from edgepipe.runtime.choose import choose
from tests.bundle.variants import variant

DOCUMENTS = ("README.md", "bom.cdx.json", "provenance.json")
MEASURED = Accuracy(accuracy=0.9, low=0.85, high=0.94, examples=200, agreement=0.98)


def assembled(into: Path, *models: OnnxModel, **accuracy: Accuracy) -> Bundle:
    by_name = {f"step{n}": model for n, model in enumerate(models)}
    return layout.assemble(by_name, accuracy, into, name="reviews", data="d" * 64, tools={"a": "1"})


def sha256s(bundle: Path) -> dict[str, str]:
    """Of every file that a manifest has to list."""
    files = [file.as_posix() for file in disk.files_under(bundle) if file.name != "edgepipe.json"]
    return {file: hashlib.sha256((bundle / file).read_bytes()).hexdigest() for file in files}


def test_files_have_the_names_that_hugging_face_tools_look_for(tmp_path: Path) -> None:
    made = assembled(
        tmp_path / "into",
        variant(tmp_path / "a", "int8"),
        variant(tmp_path / "b", "fp32", external=True),
        variant(tmp_path / "c", "fp16"),
        variant(tmp_path / "d", "q4", external=True),
    )
    assert [f.as_posix() for f in disk.files_under(made.path)] == [
        "README.md",
        "bom.cdx.json",
        "config.json",
        "edgepipe.json",
        "golden.jsonl",
        "onnx/model.onnx",
        "onnx/model.onnx_data",
        "onnx/model_fp16.onnx",
        "onnx/model_q4.onnx",
        "onnx/model_q4.onnx_data",
        "onnx/model_quantized.onnx",
        "provenance.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert (made.name, made.variants) == ("reviews", ("int8", "fp16", "fp32", "q4"))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("int8 fp32 fp16", "int8 fp16 fp32"),
        ("fp32 int8 fp16", "fp16 fp32 int8"),
        ("fp16 fp32", "fp16 fp32"),
        ("q4 fp16 fp32", "q4 fp16 fp32"),
        ("int8 fp16", "int8 fp16"),
        ("fp32 int8", "fp32 int8"),
    ],
)
def test_fp16_is_for_cuda_and_stands_before_fp32(tmp_path: Path, given: str, kept: str) -> None:
    models = [variant(tmp_path / precision, precision) for precision in given.split()]
    made = assembled(tmp_path / "into", *models)
    found = light.read(made.path)
    assert [v.name for v in found.variants] == kept.split()
    if "fp16" in given and "q4" not in given:
        assert choose(found, "auto", "cuda", set()).name == "fp16"
    if "fp32" in given or "int8" in given:
        assert choose(found, "auto", "cpu", set()).name != "fp16"


def test_other_graphs_carry_their_name(tmp_path: Path) -> None:
    record = GraphRecord(file="model.onnx", inputs=("x",), outputs=("y",))
    parts = {"encoder": record, "decoder": record}
    made = assembled(tmp_path / "into", variant(tmp_path / "a", "int8", graphs=parts))
    names = sorted(f.name for f in (made.path / "onnx").iterdir())
    assert names == ["decoder_model_quantized.onnx", "encoder_model_quantized.onnx"]


def test_the_manifest_names_every_file_and_what_each_variant_is_for(tmp_path: Path) -> None:
    session = SessionSettings(disabled_optimizers=("X",))
    graph = GraphRecord(file="model.onnx", inputs=("x",), outputs=("y",), session=session)
    made = assembled(
        tmp_path / "into",
        variant(tmp_path / "a", "int8", graphs={"model": graph}),
        variant(tmp_path / "b"),
        step0=MEASURED,
    )
    found = json.loads((made.path / "edgepipe.json").read_text())
    assert found["files"] == {
        name: {"bytes": (made.path / name).stat().st_size, "sha256": digest}
        for name, digest in sha256s(made.path).items()
    }
    assert (found["schema"], found["name"], found["data"]) == (1, "reviews", "d" * 64)
    assert (found["labels"], found["max_length"], found["tools"]) == (["no", "yes"], 16, {"a": "1"})
    int8, fp32 = found["variants"]
    assert (int8["name"], int8["devices"], int8["batch_invariant"]) == ("int8", ["cpu"], False)
    assert (fp32["name"], fp32["devices"], fp32["batch_invariant"]) == (
        "fp32", ["cpu", "cuda"], True,
    )  # fmt: skip
    assert int8["graphs"]["model"]["file"] == "onnx/model_quantized.onnx"
    assert int8["graphs"]["model"]["session"]["disabled_optimizers"] == ["X"]
    assert int8["accuracy"] == MEASURED.model_dump()
    assert fp32["accuracy"] is fp32["tolerance"] is None


@pytest.mark.parametrize(
    ("config", "problem_type"),
    [
        ({}, "single_label_classification"),
        ({"problem_type": None}, "single_label_classification"),
        ({"problem_type": "multi_label_classification"}, "multi_label_classification"),
        ({"problem_type": "regression"}, "regression"),
    ],
)
def test_the_problem_type_is_that_of_the_configuration(
    tmp_path: Path, config: dict[str, object], problem_type: str
) -> None:
    model = variant(tmp_path / "a")
    (model.path / "config.json").write_text(json.dumps(config))
    assert light.read(assembled(tmp_path / "into", model).path).problem_type == problem_type


def test_no_path_of_the_machine_is_in_a_bundle(tmp_path: Path) -> None:
    here = Provenance(source=f"{tmp_path}/checkpoints/mine/")
    made = assembled(tmp_path / "into", variant(tmp_path / "a", provenance=here))
    assert manifest.read(made.path).provenance.source == "mine"
    for name in disk.files_under(made.path):
        assert str(tmp_path).encode() not in (made.path / name).read_bytes()


def test_the_same_models_give_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for place in ("here", "there"):
        models = [variant(tmp_path / place / p, p, external=True) for p in ("int8", "fp32")]
        made = layout.with_tolerances(
            tmp_path / place / "into", assembled(tmp_path / place / "into", *models), [0.1, 0.2]
        )
        digests.add(made.commit().digest)
    assert len(digests) == 1


def test_tolerances_are_written_beside_everything_else(tmp_path: Path) -> None:
    made = assembled(tmp_path / "into", variant(tmp_path / "a", "int8"), variant(tmp_path / "b"))
    before = manifest.read(made.path)
    layout.with_tolerances(made.path, made, [0.25, 0.001])
    after = manifest.read(made.path)
    assert [v.tolerance for v in after.variants] == [0.25, 0.001]
    assert after.files.keys() == before.files.keys()
    for name in after.files.keys() - DOCUMENTS:
        assert after.files[name] == before.files[name]
    assert after.tools == before.tools
    assert sha256s(made.path) == {name: file.sha256 for name, file in after.files.items()}
    with pytest.raises(ValueError, match=r"shorter|longer"):
        layout.with_tolerances(made.path, made, [0.25])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"labels": ("yes", "no")}, "variants of one bundle share their labels"),
        ({"max_length": 8}, "share their max_length: one has 16, other has 8"),
        ({"pad_token_id": 1}, "share their pad_token_id: one has 0, other has 1"),
        ({"task": "x"}, "share their task"),
        ({"precision": "int8"}, "one: two variants are int8; a bundle holds one each"),
    ],
)
def test_variants_of_different_models_are_refused(
    tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    models = {
        "one": variant(tmp_path / "one", "int8"),
        "other": variant(tmp_path / "other", **{"precision": "fp32", **change}),
    }
    with pytest.raises(StageError, match=problem):
        layout.check(models)


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    models = {"one": variant(tmp_path / "one", "int8"), "other": variant(tmp_path / "other")}
    layout.check(models)
    (models["other"].path / "tokenizer.json").write_text("{}")
    with pytest.raises(StageError, match="one and other have different tokenizers"):
        layout.check(models)


def test_another_problem_type_is_refused(tmp_path: Path) -> None:
    models = {"one": variant(tmp_path / "one", "int8"), "other": variant(tmp_path / "other")}
    (models["other"].path / "config.json").write_text('{"problem_type": "regression"}')
    with pytest.raises(StageError, match="one and other have different problem types"):
        layout.check(models)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ({"tokenizer_class": "TokenizersBackend"}, {"tokenizer_class": "PreTrainedTokenizerFast"}),
        ({"extra_special_tokens": ["[X]"]}, {"additional_special_tokens": ["[X]"]}),
        ({"extra_special_tokens": {"x": "[X]"}}, {"extra_special_tokens": {"x": "[X]"}}),
        ({"tokenizer_class": "BertTokenizer"}, {"tokenizer_class": "BertTokenizer"}),
    ],
)
def test_tokenizer_settings_are_what_transformers_4_reads_as_well(
    tmp_path: Path, written: dict[str, object], kept: dict[str, object]
) -> None:
    """tests/contracts/test_ort_model.py tries it there."""
    model = variant(tmp_path / "a")
    (model.path / "tokenizer_config.json").write_text(json.dumps(written))
    made = assembled(tmp_path / "into", model)
    assert json.loads((made.path / "tokenizer_config.json").read_text()) == kept


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("text", ["{", "[]"])
def test_damaged_settings_are_named(tmp_path: Path, file: str, text: str) -> None:
    model = variant(tmp_path / "a")
    (model.path / file).write_text(text)
    with pytest.raises((StageError, BundleError), match=file.replace(".", r"\.")):
        assembled(tmp_path / "into", model)


def test_no_variant_is_no_bundle() -> None:
    with pytest.raises(StageError, match="a bundle needs one variant or more"):
        layout.check({})
