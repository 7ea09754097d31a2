from __future__ import annotations

import hashlib
import json
from pathlib import Path

import onnx
import onnxruntime
import pytest

from edgepipe.artifacts import OnnxModel
from edgepipe.bundle import layout
from tests.bundle.variants import variant


def read(path: Path) -> dict[str, str]:
    """The metadata as onnxruntime gives it."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found: dict[str, str] = session.get_modelmeta().custom_metadata_map
    return found


def assembled(into: Path, *models: OnnxModel) -> Path:
    named = {model.precision: model for model in models}
    return layout.assemble(named, {}, into, name="x", data="").path


@pytest.mark.parametrize("external", [False, True])
def test_every_graph_says_what_it_is(tmp_path: Path, *, external: bool) -> None:
    labels = ("no", 'yes, "très"')
    models = [
        variant(tmp_path / p, p, labels=labels, pad_token_id=3, external=external)
        for p in ("int8", "fp32")
    ]
    made = assembled(tmp_path / "into", *models)
    tokenizer = hashlib.sha256((made / "tokenizer.json").read_bytes()).hexdigest()
    for file in ("model.onnx", "model_quantized.onnx"):
        found = read(made / "onnx" / file)
        assert json.loads(found.pop("edgepipe.labels")) == list(labels)
        assert found == {
            "edgepipe.schema": "1",
            "edgepipe.task": "text-classification",
            "edgepipe.problem_type": "single_label_classification",
            "edgepipe.max_length": "16",
            "edgepipe.pad_token_id": "3",
            "edgepipe.tokenizer_sha256": tokenizer,
        }


def test_what_others_wrote_stays_and_what_we_wrote_before_goes(tmp_path: Path) -> None:
    model = variant(tmp_path / "a")
    graph = onnx.load(model.path / "model.onnx")
    for key, value in (("edgepipe.labels", "[]"), ("edgepipe.older", "1"), ("author", "me")):
        graph.metadata_props.add(key=key, value=value)
    onnx.save(graph, model.path / "model.onnx")
    made = onnx.load(assembled(tmp_path / "into", model) / "onnx" / "model.onnx")
    found = [(entry.key, entry.value) for entry in made.metadata_props]
    assert found[0] == ("author", "me")
    assert [key for key, _ in found].count("edgepipe.labels") == 1
    assert ("edgepipe.labels", '["no", "yes"]') in found
    assert "edgepipe.older" not in dict(found)


def test_nothing_else_of_the_graph_changes(tmp_path: Path) -> None:
    model = variant(tmp_path / "a")
    made = onnx.load(assembled(tmp_path / "into", model) / "onnx" / "model.onnx")
    del made.metadata_props[:]
    assert made == onnx.load(model.path / "model.onnx")
