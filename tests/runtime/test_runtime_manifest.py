from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from edgepipe.errors import BundleError, UsageError
from edgepipe.runtime.manifest import Manifest, SessionSettings, needed, read
from tests.runtime.tiny_onnx import Tiny, records, variant, write_bundle

MODEL = "onnx/model.onnx"


@pytest.fixture
def folder(tmp_path: Path, tiny: Tiny) -> Path:
    return write_bundle(tmp_path / "b", tiny)


def change(folder: Path, **fields: Any) -> None:
    path = folder / "edgepipe.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def wanted(folder: Path) -> list[str]:
    """What the first variant needs."""
    manifest = read(folder)
    return needed(folder, manifest, manifest.variants[0])


def test_every_field_is_read(tmp_path: Path, tiny: Tiny) -> None:
    session = {
        "disabled_optimizers": ["SkipLayerNormFusion"],
        "graph_optimization_level": "extended",
        "config_entries": {"session.set_denormal_as_zero": "1"},
    }
    fast = variant("fast", MODEL, tiny, devices=["cpu"], cpu_features=["avx2"])
    fast |= {"batch_invariant": False, "precision": "int8", "of a later version": 1}
    fast["graphs"]["model"]["session"] = session
    folder = write_bundle(tmp_path / "b", tiny, [fast, variant("fp32", MODEL, tiny)])

    manifest = read(folder)

    assert (manifest.name, manifest.task) == ("tiny", "text-classification")
    assert manifest.labels == ("negative", "positive", "neutral")
    assert (manifest.max_length, manifest.pad_token_id) == (16, 0)
    assert {name: vars(file) for name, file in manifest.files.items()} == records(folder)
    first, second = manifest.variants
    assert (first.name, first.precision, first.batch_invariant) == ("fast", "int8", False)
    assert (first.devices, first.cpu_features) == (("cpu",), ("avx2",))
    assert first.graphs["model"].file == MODEL
    assert first.graphs["model"].inputs == tiny.inputs
    assert first.graphs["model"].outputs == ("logits",)
    assert first.graphs["model"].session == SessionSettings(
        ("SkipLayerNormFusion",), "extended", {"session.set_denormal_as_zero": "1"}
    )
    assert (second.devices, second.cpu_features) == (("cpu", "cuda"), ())
    assert second.batch_invariant
    assert second.graphs["model"].session == SessionSettings((), "all", {})


def test_an_absent_folder_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no bundle at .*nowhere"):
        read(tmp_path / "nowhere")


def test_a_file_is_no_bundle(folder: Path) -> None:
    with pytest.raises(BundleError, match="is a file; a bundle is a folder"):
        read(folder / "tokenizer.json")


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"it has no edgepipe\.json"):
        read(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b'{"schema": 1', b"\xff\xfe", b"[1]", b"null", b"[" * 200_000],
    ids=["empty", "cut", "no UTF-8", "a list", "null", "nested too deeply"],
)
def test_a_damaged_manifest(folder: Path, content: bytes) -> None:
    (folder / "edgepipe.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"edgepipe.json is damaged: .*make or copy"):
        read(folder)


@pytest.mark.parametrize("schema", [0, 2, "1", None])
def test_an_unknown_schema(folder: Path, schema: object) -> None:
    change(folder, schema=schema)
    with pytest.raises(BundleError, match=f"of schema {schema!r}, and this edgepipe reads 1"):
        read(folder)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("labels", "positive", "labels is 'positive', not a list"),
        ("labels", [], "labels is empty"),
        ("labels", ["a", 1], r"labels\[1\] is 1, not text"),
        ("max_length", True, "max_length is True, not a whole number"),
        ("max_length", 0, "max_length is 0, not 1 to 1048576"),
        ("max_length", 1_048_577, "max_length is 1048577, not 1 to"),
        ("max_length", 10**13, "max_length is 10000000000000, not 1 to"),
        ("max_length", 2**63, "max_length is 9223372036854775808, not 1 to"),
        ("pad_token_id", -1, "pad_token_id is -1, not 0 to 2147483647"),
        ("pad_token_id", 2**31, "pad_token_id is 2147483648, not 0 to"),
        ("pad_token_id", 2**70, "pad_token_id is 1180591620717411303424, not 0 to"),
        ("variants", [], "variants is empty"),
        ("variants", [{"name": "x"}], r"variants\[0\].precision is missing"),
        ("files", {MODEL: {"bytes": 1}}, r"files\['onnx/model.onnx'\].sha256 is missing"),
        ("files", [], r"files is \[\], not an object"),
    ],
)
def test_a_wrong_field_is_named(folder: Path, field: str, value: object, message: str) -> None:
    change(folder, **{field: value})
    with pytest.raises(BundleError, match=message):
        read(folder)


def test_the_largest_figures_are_read(folder: Path) -> None:
    change(folder, max_length=1_048_576, pad_token_id=2_147_483_647)
    manifest = read(folder)
    assert (manifest.max_length, manifest.pad_token_id) == (1_048_576, 2_147_483_647)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["int8", "fp32", "int8"], "two variants are called alike: int8, fp32, int8"),
        (["fp32", "auto"], "a variant may not be called 'auto', which asks for any"),
    ],
)
def test_a_variant_that_no_name_reaches(
    folder: Path, tiny: Tiny, names: list[str], message: str
) -> None:
    change(folder, variants=[variant(name, MODEL, tiny) for name in names])
    with pytest.raises(BundleError, match=message):
        read(folder)


def test_an_unknown_optimization_level_is_refused(folder: Path, tiny: Tiny) -> None:
    wrong = variant("x", MODEL, tiny)
    wrong["graphs"]["model"]["session"] = {"graph_optimization_level": "most"}
    change(folder, variants=[wrong])
    place = r"variants\[0\].graphs\['model'\].session.graph_optimization_level is 'most'"
    with pytest.raises(BundleError, match=place):
        read(folder)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/hostname",
        "../tokenizer.json",
        "onnx/../../x",
        "C:/x",
        "..\\x",
        "onnx\\x",
        "",
        ".",
        "a\0b",
    ],
)
@pytest.mark.parametrize("where", ["tokenizer", "graph", "files"])
def test_a_path_out_of_the_bundle_is_refused(
    folder: Path, tiny: Tiny, name: str, where: str
) -> None:
    fields: dict[str, Any] = {
        "tokenizer": {"tokenizer": name},
        "graph": {"variants": [variant("fp32", name, tiny)]},
        "files": {"files": {**records(folder), name: {"bytes": 1, "sha256": ""}}},
    }[where]
    change(folder, **fields)
    with pytest.raises(BundleError, match="outside the bundle"):
        read(folder)


def test_a_linked_file_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder.parent / "elsewhere.json")
    (folder / "tokenizer.json").symlink_to(folder.parent / "elsewhere.json")
    with pytest.raises(BundleError, match=r"tokenizer.json is reached by a link"):
        wanted(folder)


def test_a_linked_folder_is_refused(folder: Path) -> None:
    (folder / "onnx").rename(folder.parent / "elsewhere")
    (folder / "onnx").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(BundleError, match=r"onnx/model.onnx is reached by a link"):
        wanted(folder)


def test_the_bundle_itself_may_be_reached_by_a_link(folder: Path) -> None:
    (folder.parent / "link").symlink_to(folder)
    assert isinstance(read(folder.parent / "link"), Manifest)


@pytest.mark.parametrize("name", [MODEL, "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing; make or copy"):
        wanted(folder)


def test_a_file_cut_short_is_named(folder: Path) -> None:
    whole = (folder / MODEL).read_bytes()
    (folder / MODEL).write_bytes(whole[:100])
    with pytest.raises(BundleError, match=f"{MODEL} has 100 bytes instead of {len(whole)}"):
        wanted(folder)


def test_a_file_that_the_manifest_does_not_list(folder: Path) -> None:
    files = records(folder)
    del files[MODEL]
    change(folder, files=files)
    with pytest.raises(BundleError, match=f"does not list {MODEL}"):
        wanted(folder)


# ---- what one variant needs --------------------------------------------------------------------


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"x")


@pytest.fixture
def two(folder: Path, tiny: Tiny) -> Path:
    """A bundle of fp32 and int8, each with external weights, and a document."""
    put(folder, "onnx/model.onnx_data", "onnx/model_q.onnx", "onnx/model_q.onnx_data", "README.md")
    variants = [variant("fp32", MODEL, tiny), variant("int8", "onnx/model_q.onnx", tiny)]
    change(folder, variants=variants, files=records(folder))
    return folder


def test_the_files_of_one_variant(two: Path) -> None:
    manifest = read(two)
    found = [needed(two, manifest, variant_) for variant_ in manifest.variants]
    assert found == [
        ["onnx/model.onnx", "onnx/model.onnx_data", "tokenizer.json"],
        ["onnx/model_q.onnx", "onnx/model_q.onnx_data", "tokenizer.json"],
    ]


def test_weights_under_any_name_count_too(two: Path) -> None:
    put(two, "onnx/weights.bin")
    change(two, files=records(two))
    assert "onnx/weights.bin" in wanted(two)


def test_files_of_the_other_variant_may_be_absent(two: Path) -> None:
    for name in ("onnx/model_q.onnx", "onnx/model_q.onnx_data", "README.md"):
        (two / name).unlink()
    manifest = read(two)
    assert wanted(two) == ["onnx/model.onnx", "onnx/model.onnx_data", "tokenizer.json"]
    with pytest.raises(BundleError, match=r"onnx/model_q.onnx is missing"):
        needed(two, manifest, manifest.variants[1])


@pytest.mark.parametrize(
    ("given", "kind"),
    [({}, "single_label_classification"), ({"problem_type": "regression"}, "regression")],
)
def test_the_kind_of_problem(folder: Path, given: dict[str, str], kind: str) -> None:
    change(folder, **given)
    assert read(folder).problem_type == kind


def test_an_unknown_kind_of_problem(folder: Path) -> None:
    change(folder, problem_type="ranking")
    with pytest.raises(BundleError, match="problem_type is 'ranking', not one of single_label"):
        read(folder)


def test_a_manifest_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "edgepipe.json")
    with pytest.raises(BundleError, match="is no file"):
        read(tmp_path)
