"""The bill of materials, judged by the schema that cyclonedx-python-lib ships."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from edgepipe.artifacts import Provenance
from edgepipe.bundle import layout
from edgepipe.bundle.manifest import Accuracy
from tests.bundle.variants import variant

MEASURED = Accuracy(accuracy=0.9, low=0.85, high=0.94, examples=200, agreement=0.98)
CONFIG = '{"model_type": "bert", "architectures": ["BertForSequenceClassification"]}'


def assembled(folder: Path, *, data: str = "d" * 64, name: str = "reviews", **changes: Any) -> Path:
    models = {p: variant(folder / p, p, external=True, **changes) for p in ("int8", "fp32")}
    (models["int8"].path / "config.json").write_text(CONFIG)
    measured = {"int8": MEASURED}
    tools = {"onnx": "1.0"}
    return layout.assemble(
        models, measured, folder / "into", name=name, data=data, tools=tools
    ).path


def bom(bundle: Path) -> Any:
    """The document, after the official validator took it."""
    text = (bundle / "bom.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    return json.loads(text)


def test_the_validator_can_say_no(tmp_path: Path) -> None:
    """Else the tests below would prove nothing."""
    found = bom(assembled(tmp_path))
    found["metadata"]["component"]["modelCard"]["accuracy"] = 0.9
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(found)) is not None


def test_every_file_of_the_model_is_a_component_with_its_hash(tmp_path: Path) -> None:
    made = assembled(tmp_path)
    files = {c["name"]: c["hashes"] for c in bom(made)["components"] if c["type"] == "file"}
    about = {"README.md", "bom.cdx.json", "provenance.json", "edgepipe.json"}
    assert files == {
        name: [
            {"alg": "SHA-256", "content": hashlib.sha256((made / name).read_bytes()).hexdigest()}
        ]
        for name in (f.relative_to(made).as_posix() for f in made.rglob("*") if f.is_file())
        if name not in about
    }
    assert "onnx/model.onnx_data" in files


def test_the_model_card(tmp_path: Path) -> None:
    model = bom(assembled(tmp_path))["metadata"]["component"]
    assert (model["type"], model["name"]) == ("machine-learning-model", "reviews")
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    card = model["modelCard"]
    parameters = card["modelParameters"]
    assert parameters["task"] == "text-classification"
    assert parameters["architectureFamily"] == "bert"
    assert parameters["modelArchitecture"] == "BertForSequenceClassification"
    accuracy, agreement = card["quantitativeAnalysis"]["performanceMetrics"]
    assert (accuracy["type"], float(accuracy["value"])) == ("accuracy", 0.9)
    assert "int8" in accuracy["slice"]
    bounds = accuracy["confidenceInterval"]
    assert (float(bounds["lowerBound"]), float(bounds["upperBound"])) == (0.85, 0.94)
    assert float(agreement["value"]) == 0.98


def references(value: object) -> Iterator[str]:
    """Every ``bom-ref`` that a part of the document declares."""
    if isinstance(value, dict):
        if "bom-ref" in value:
            yield value["bom-ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.mark.parametrize("data", ["", "e" * 64])
def test_references_are_unique_and_lead_somewhere(tmp_path: Path, data: str) -> None:
    found = bom(assembled(tmp_path, data=data))
    declared = list(references(found))
    assert len(declared) == len(set(declared))
    (edge,) = found["dependencies"]
    assert {edge["ref"], *edge["dependsOn"]} <= set(declared)
    used = found["metadata"]["component"]["modelCard"]["modelParameters"].get("datasets", [])
    assert used == ([{"ref": "dataset"}] if data else [])
    hashes = [c["hashes"][0]["content"] for c in found["components"] if c["type"] == "data"]
    assert hashes == ([data] if data else [])


def test_the_base_model_is_an_ancestor(tmp_path: Path) -> None:
    origin = Provenance(source="hf://org/name@v1", sha256="a" * 64, licence="mit")
    model = bom(assembled(tmp_path, provenance=origin))["metadata"]["component"]
    (base,) = model["pedigree"]["ancestors"]
    assert base["purl"] == "pkg:huggingface/org/name@v1"
    assert base["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert base["licenses"] == [{"license": {"id": "MIT"}}]


@pytest.mark.parametrize("odd", ['a "b" <c>\n\x00', "é☃", "../../x", " "])
def test_it_is_valid_whatever_the_names(tmp_path: Path, odd: str) -> None:
    origin = Provenance(source=f"hf://{odd}", licence=odd)
    made = assembled(tmp_path, name=odd, labels=(odd, "b"), provenance=origin)
    assert bom(made)["metadata"]["component"]["name"] == odd


def test_it_is_the_same_for_the_same_bundle_and_another_for_another(tmp_path: Path) -> None:
    first, again = (assembled(tmp_path / place) for place in ("a", "b"))
    assert (first / "bom.cdx.json").read_bytes() == (again / "bom.cdx.json").read_bytes()
    other = assembled(tmp_path / "c", data="e" * 64)
    serials = {bom(made)["serialNumber"] for made in (first, again, other)}
    assert len(serials) == 2
    assert all(uuid.UUID(serial).version == 5 for serial in serials)
