"""The statement, parsed by the protobufs of in-toto's own package, which know every field."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

import edgepipe
from edgepipe.artifacts import Provenance
from edgepipe.bundle import layout, provenance
from tests.bundle.variants import variant

ORIGIN = Provenance(source="hf://org/name@v1", sha256="a" * 64, licence="apache-2.0")


def assembled(folder: Path, data: str = "d" * 64, **changes: Any) -> Path:
    model = variant(folder / "fp32", **{"provenance": ORIGIN, **changes}, external=True)
    (model.path / "config.json").write_text('{"transformers_version": "5.1"}')
    tools = {"onnx": "1.0", "edgepipe": "0"}
    named = {"fp32": model}
    return layout.assemble(named, {}, folder / "into", name="x", data=data, tools=tools).path


def statement(bundle: Path) -> tuple[Any, Any]:
    """Statement and predicate; unknown or misspelt fields are errors."""
    text = (bundle / "provenance.json").read_text(encoding="utf-8")
    found = json_format.Parse(text, statement_pb2.Statement())
    Statement.copy_from_pb(found).validate()
    inner = json.loads(text)["predicate"]
    predicate = json_format.ParseDict(inner, provenance_pb2.Provenance())
    for descriptor in predicate.build_definition.resolved_dependencies:
        ResourceDescriptor.copy_from_pb(descriptor).validate()
    return found, predicate


def dependencies(bundle: Path) -> dict[str, Any]:
    _, predicate = statement(bundle)
    return {d.name: d for d in predicate.build_definition.resolved_dependencies}


def test_it_speaks_of_every_file_that_was_built(tmp_path: Path) -> None:
    made = assembled(tmp_path)
    found, predicate = statement(made)
    assert found.predicate_type == "https://slsa.dev/provenance/v1"
    about = {"README.md", "bom.cdx.json", "provenance.json", "edgepipe.json"}
    assert {s.name: dict(s.digest) for s in found.subject} == {
        name: {"sha256": hashlib.sha256((made / name).read_bytes()).hexdigest()}
        for name in (f.relative_to(made).as_posix() for f in made.rglob("*") if f.is_file())
        if name not in about
    }
    assert "onnx/model.onnx_data" in {s.name for s in found.subject}
    assert predicate.build_definition.build_type
    assert predicate.run_details.builder.id
    assert not predicate.run_details.HasField("metadata")  # clocks


def test_it_names_model_data_code_and_tools(tmp_path: Path) -> None:
    found = dependencies(assembled(tmp_path))
    assert set(found) == {"hf://org/name@v1", "dataset", "edgepipe", "onnx", "transformers"}
    base = found["hf://org/name@v1"]
    assert (base.uri, base.digest["sha256"]) == ("pkg:huggingface/org/name@v1", "a" * 64)
    assert base.annotations["licence"] == "apache-2.0"
    assert found["dataset"].digest["sha256"] == "d" * 64
    assert found["edgepipe"].uri == f"pkg:pypi/edgepipe@{edgepipe.__version__}"
    assert found["onnx"].annotations["version"] == "1.0"
    assert found["transformers"].annotations["version"] == "5.1"


def test_without_data_there_is_none(tmp_path: Path) -> None:
    assert "dataset" not in dependencies(assembled(tmp_path, data=""))


def test_the_code_is_that_of_every_module() -> None:
    root = Path(edgepipe.__file__).parent
    lines = {
        file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in root.glob("**/*.py")
    }
    text = "".join(f"{name}\0{lines[name]}\n" for name in sorted(lines))
    assert provenance.code_digest() == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("hf://org/name@v1", "hf://org/name@v1"),
        ("pkg://package/model", "pkg://package/model"),
        ("/home/someone/models/mine", "mine"),
        ("../models/mine/", "mine"),
        ("C:\\models\\mine", "mine"),
        ("bert from scratch", "bert from scratch"),
    ],
)
def test_folders_of_a_machine_are_left_out(source: str, shown: str) -> None:
    assert provenance.public(source) == shown


def test_odd_names_stay_valid(tmp_path: Path) -> None:
    odd = Provenance(source="hf://a b/é\n@x y", licence='"')
    (base,) = (d for n, d in dependencies(assembled(tmp_path, provenance=odd)).items() if "hf" in n)
    assert base.uri == "pkg:huggingface/a%20b/%C3%A9%0A@x%20y"
