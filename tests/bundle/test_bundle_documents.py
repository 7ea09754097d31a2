"""Files of a bundle that are no graphs, and its settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepipe.bundle import documents
from edgepipe.bundle.examine import examine
from edgepipe.errors import BundleError
from tests.bundle.foreign import FILE, bundle, listed, model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundle(tmp_path / "bundle", model())


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin", "model.pt", "model.pth", "weights.pkl", "model.ckpt", "head.joblib",
        "array.npy", "arrays.npz", "modeling.py", "operators.so", "operators.dll", "onnx/x.dylib",
        "run.sh", "model.safetensors", "archive.zip", "nothing", "README", ".hidden", "model.data",
        "onnx/left.onnx_data",
    ],
)  # fmt: skip
def test_a_file_without_a_place_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\x80\x04N.")
    with pytest.raises(BundleError, match="neither a document nor a file that a graph refers to"):
        examine(listed(folder))


@pytest.mark.parametrize(
    "name",
    [
        "a.bin", "a.vbs", "a.com", "a.lnk", "a.hta", "a.pb", "a.msgpack", "a.tflite", "a.weight.py",
        "a.so.1a", "data", ".data", ".bashrc", "Makefile", "a", "a.onnx_data_", "a.onnx_data.sh",
        "a.weight\n", "3e0e4ad0-1d17-11f0-9d3f-0242ac120002.exe",
    ],
)  # fmt: skip
def test_what_no_file_of_weights_is_called(name: str) -> None:
    assert not documents.WEIGHTS.fullmatch(name)


@pytest.mark.parametrize(
    "name",
    [
        "model.onnx_data", "model_fp16.onnx_data_12", "model.onnx.data", "model.data",
        "encoder.layer.0.attention.self.query.weight", "embeddings.LayerNorm.bias", "model.weights",
        "layer.3", "3e0e4ad0-1d17-11f0-9d3f-0242ac120002",
    ],
)  # fmt: skip
def test_what_writers_of_onnx_call_a_file_of_weights(name: str) -> None:
    assert documents.WEIGHTS.fullmatch(name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("README.md", "# model"),
        ("LICENSE", "Apache"),
        ("config.json", "{}"),
        ("bom.cdx.json", '{"a": [1, null, true]}'),
        ("onnx/notes.txt", ""),
        ("deep.json", "[" * documents.MAX_DEPTH + "]" * documents.MAX_DEPTH),
    ],
)
def test_a_document_is_accepted(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    examine(listed(folder))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not plain JSON"),
        (b"{", "is not plain JSON"),
        (b"\xff\xfe{}", "is not plain JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' stands twice"),
        (b"[" * 65 + b"]" * 65, "nested more than 64 deep"),
        (b"[" * 100_000 + b"]" * 100_000, "nested more than 64 deep"),
        (b'{"x":' * 70 + b"1" + b"}" * 70, "nested more than 64 deep"),
        (b'{"auto_map": {"AutoModel": "x.Y"}}', "names code to load: 'auto_map'"),
        (b'{"trust_remote_code": true}', "names code to load"),
        (b'{"n": ' + b"1" * 5000 + b"}", "is not plain JSON"),
    ],
)
def test_json_is_plain(folder: Path, content: bytes, told: str) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(BundleError, match=told) as caught:
        examine(listed(folder))
    assert str(caught.value).startswith("config.json: ")


@pytest.mark.parametrize("name", ["tokenizer.json", "golden.jsonl", "README.md"])
def test_a_document_has_a_size(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / name).write_bytes(b" " * 100_001)
    monkeypatch.setattr(documents, "MAX_BYTES", 100_000)
    with pytest.raises(BundleError, match="has 100001 bytes; a document has 100000 at most"):
        examine(listed(folder))


def test_a_tokenizer_that_is_none(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"model": {"type": "Surprise"}}')
    with pytest.raises(BundleError, match="is not a tokenizer"):
        examine(listed(folder))


@pytest.mark.parametrize(
    "key",
    [
        "session.model_external_initializers_file_folder_path",
        "session.optimized_model_external_initializers_file_name",
        "ep.context_file_path",
        "session.load_model_format",
        "session.record_ep_graph_assignment_info ",
    ],
)
def test_a_setting_that_opens_files_is_refused(folder: Path, key: str) -> None:
    with_setting(folder, key)
    with pytest.raises(BundleError, match="may not set"):
        examine(folder)


def test_a_setting_that_tunes_is_accepted(folder: Path) -> None:
    with_setting(folder, "session.intra_op.allow_spinning")
    examine(folder)


def with_setting(folder: Path, key: str) -> None:
    change_variant(folder, lambda graph: graph.update(session={"config_entries": {key: "1"}}))


def change_variant(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    path = folder / "edgepipe.json"
    content = json.loads(path.read_text())
    change(content["variants"][0]["graphs"]["model"])
    path.write_text(json.dumps(content))


def test_a_graph_is_called_a_graph(folder: Path) -> None:
    """onnx reads other formats by the name of the file; protobuf alone is meant."""
    (folder / FILE).rename(folder / "onnx" / "model.json")
    change_variant(folder, lambda graph: graph.update(file="onnx/model.json"))
    with pytest.raises(BundleError, match=r"'onnx/model\.json' is not called \*\.onnx"):
        examine(listed(folder))


def test_a_graph_of_no_variant_is_looked_at_too(folder: Path) -> None:
    (folder / "onnx" / "spare.ONNX").write_bytes(b"\xff")
    with pytest.raises(BundleError, match=r"spare\.ONNX: is not a readable ONNX file"):
        examine(listed(folder))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "'tokenizer.json' is missing"),
        (lambda folder: (folder / FILE).write_bytes(b""), "has 0 bytes instead of"),
        (lambda folder: listed(folder, tokenizer="../x.json"), "outside the bundle"),
        (lambda folder: listed(folder, tokenizer="/etc/passwd"), "outside the bundle"),
        (lambda folder: listed(folder, tokenizer="a/./b.json"), "no plain relative path"),
        (lambda folder: listed(folder, tokenizer="absent.json"), "not listed by the manifest"),
        (lambda folder: linked(folder, "tokenizer.json"), "is a link or no plain file"),
        (lambda folder: linked(folder, "onnx"), "is reached by a link"),
    ],
)
def test_every_file_is_there_before_any_is_opened(
    folder: Path, change: Callable[[Path], object], told: str
) -> None:
    change(folder)
    with pytest.raises(BundleError, match=told):
        examine(folder)


def linked(folder: Path, name: str) -> None:
    (folder / name).rename(folder.parent / "elsewhere")
    (folder / name).symlink_to(folder.parent / "elsewhere")
