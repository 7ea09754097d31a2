from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from google.protobuf import text_format
from tokenizers import Tokenizer

from edgepipe import disk
from edgepipe.artifacts import SessionSettings
from edgepipe.bundle import layout, manifest
from edgepipe.bundle.triton import export
from edgepipe.cli import cli
from edgepipe.errors import BundleError, UsageError
from tests.bundle.triton_config import parse
from tests.bundle.variants import runnable
from tests.runtime.tiny_onnx import Tiny, token_ids

TEXT = "good film"


def bundle(folder: Path, *precisions: str, name: str = "reviews") -> Path:
    made = {p: runnable(folder / p, Tiny(), p) for p in precisions}
    return layout.assemble(made, {}, folder / "bundle", name=name, data="").path


def config(repository: Path) -> object:
    (model,) = repository.iterdir()
    return parse((model / "config.pbtxt").read_text())


def test_the_parser_can_say_no() -> None:
    with pytest.raises(text_format.ParseError):
        parse('max_batch_sizes: 3\nname: "x"')


def test_triton_is_told_what_the_graph_takes_and_gives(tmp_path: Path) -> None:
    tiny = Tiny()
    made = export(bundle(tmp_path, "fp32"), tmp_path / "repository")
    assert (made.model, made.variant) == ("reviews", "fp32")
    found = config(made.repository)
    assert (found.name, found.backend, found.max_batch_size) == ("reviews", "onnxruntime", 32)
    assert [(i.name, i.data_type, list(i.dims)) for i in found.input] == [
        (name, 9, [-1])
        for name in tiny.inputs  # 9 is TYPE_INT64
    ]
    (output,) = found.output
    assert (output.name, output.data_type, list(output.dims)) == ("logits", 11, [3])
    assert output.label_filename == "labels.txt"
    assert {p.key: p.value.string_value for p in found.parameters} == {
        "intra_op_thread_count": "1", "inter_op_thread_count": "1",
    }  # fmt: skip
    assert not found.instance_group
    assert not found.HasField("optimization")


def test_the_files_lie_where_triton_looks(tmp_path: Path) -> None:
    tiny = Tiny()
    made = export(bundle(tmp_path, "fp32"), tmp_path / "repository")
    files = [file.as_posix() for file in disk.files_under(made.repository)]
    assert files == [
        f"reviews/{name}"
        for name in ("1/model.onnx", "README.md", "config.pbtxt", "labels.txt", "tokenizer.json")
    ]
    folder = made.repository / "reviews"
    assert (folder / "labels.txt").read_text() == "negative\npositive\nneutral\n"
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    encoded = tokenizer.encode(TEXT)
    assert encoded.ids == token_ids(TEXT)
    rows = (encoded.ids, encoded.attention_mask, encoded.type_ids)
    feed = {name: np.array([row]) for name, row in zip(tiny.inputs, rows, strict=True)}
    (logits,) = session.run(["logits"], feed)
    np.testing.assert_allclose(logits[0], tiny.logits(TEXT), atol=1e-4)
    readme = (folder / "README.md").read_text()
    assert "Triton gets token ids, not text" in readme
    assert disk.sha256(tmp_path / "bundle" / "edgepipe.json") in readme


def test_only_a_batch_invariant_variant_is_batched(tmp_path: Path) -> None:
    folder = bundle(tmp_path, "int8", "fp32")
    first = export(folder, tmp_path / "first")
    other = export(folder, tmp_path / "other", "fp32")
    assert (first.variant, other.variant) == ("int8", "fp32")
    assert not config(tmp_path / "first").HasField("dynamic_batching")
    assert config(tmp_path / "other").dynamic_batching.max_queue_delay_microseconds == 1000
    assert [group.kind for group in config(tmp_path / "first").instance_group] == [2]  # the CPU
    assert "other texts of a batch" in (tmp_path / "first/reviews/README.md").read_text()


def test_a_gpu_variant_is_for_gpus(tmp_path: Path) -> None:
    export(bundle(tmp_path, "fp16"), tmp_path / "repository")
    assert [group.kind for group in config(tmp_path / "repository").instance_group] == [1]


@pytest.mark.parametrize(("level", "number"), [("basic", -1), ("extended", 1), ("disable", 2)])
def test_session_options_that_triton_knows_and_those_it_does_not(
    tmp_path: Path, level: str, number: int
) -> None:
    model = runnable(tmp_path / "fp32", Tiny())
    session = SessionSettings(
        disabled_optimizers=("SkipLayerNormFusion",),
        graph_optimization_level=level,
        config_entries={"session.set_denormal_as_zero": "1"},
    )
    graph = model.graphs["model"].model_copy(update={"session": session})
    model = model.model_copy(update={"graphs": {"model": graph}})
    made = layout.assemble({"a": model}, {}, tmp_path / "bundle", name="x", data="")
    export(made.path, tmp_path / "repository")
    assert config(tmp_path / "repository").optimization.graph.level == number
    readme = (tmp_path / "repository/x/README.md").read_text()
    assert "without SkipLayerNormFusion, which Triton cannot be told" in readme
    assert "with session.set_denormal_as_zero=1, which Triton cannot be told" in readme


def test_external_weights_keep_up_with_the_name(tmp_path: Path) -> None:
    model = runnable(tmp_path / "int8", Tiny(), "int8")
    graph = onnx.load(model.path / "model.onnx")
    place = {"save_as_external_data": True, "location": "model.onnx_data", "size_threshold": 100}
    onnx.save(graph, model.path / "model.onnx", **place)
    made = layout.assemble({"a": model}, {}, tmp_path / "bundle", name="x", data="")
    export(made.path, tmp_path / "repository")
    folder = tmp_path / "repository" / "x" / "1"
    assert {file.name for file in folder.iterdir()} == {"model.onnx", "model.onnx_data"}
    onnxruntime.InferenceSession(folder / "model.onnx")


@pytest.mark.parametrize(
    ("name", "folder"),
    [("../../up", "up"), ("a b/c", "a_b_c"), ('x"\n{', "x"), ("☃", "model"), ("..", "model")],
)
def test_a_hostile_name_is_only_a_name(tmp_path: Path, name: str, folder: str) -> None:
    export(bundle(tmp_path / "in", "fp32", name=name), tmp_path / "out" / "repository")
    assert [f.name for f in (tmp_path / "out" / "repository").iterdir()] == [folder]
    assert {f.name for f in (tmp_path / "out").iterdir()} == {"repository"}
    assert config(tmp_path / "out" / "repository").name == folder


def test_labels_stay_one_a_line(tmp_path: Path) -> None:
    model = runnable(tmp_path / "fp32", Tiny()).model_copy(update={"labels": ("a\nb", "c", "d ")})
    made = layout.assemble({"a": model}, {}, tmp_path / "bundle", name="x", data="")
    export(made.path, tmp_path / "repository")
    assert (tmp_path / "repository/x/labels.txt").read_text() == "a b\nc\nd\n"


def test_an_existing_folder_an_unknown_variant_a_changed_bundle(tmp_path: Path) -> None:
    folder = bundle(tmp_path, "int8", "fp32")
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="there exists; remove it"):
        export(folder, tmp_path / "there")
    with pytest.raises(UsageError, match="no variant 'q4', but int8, fp32"):
        export(folder, tmp_path / "new", "q4")
    (folder / "config.json").write_text("{}")
    with pytest.raises(BundleError, match=r"config\.json"):
        export(folder, tmp_path / "new")
    assert {f.name for f in tmp_path.iterdir()} == {"bundle", "fp32", "int8", "there"}


@pytest.mark.parametrize("place", ["", "triton", "onnx/deep/triton", "../link/triton"])
def test_a_bundle_is_not_written_into(tmp_path: Path, place: str) -> None:
    made = bundle(tmp_path, "fp32")
    (tmp_path / "link").symlink_to(made, target_is_directory=True)
    before = disk.digest(made)
    with pytest.raises(UsageError, match="is inside the bundle"):
        export(made, made / place)
    assert disk.digest(made) == before


def test_a_failure_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    folder = bundle(tmp_path, "fp32")
    found = manifest.read(folder)
    graph = onnx.load(folder / "onnx" / "model.onnx")
    graph.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    onnx.save(graph, folder / "onnx" / "model.onnx")
    files = manifest.file_records(folder)
    manifest.write(found.model_copy(update={"files": files}), folder)
    with pytest.raises(BundleError, match="no output 'logits' of a type"):
        export(folder, tmp_path / "repository")
    assert {f.name for f in tmp_path.iterdir()} == {"bundle", "fp32"}


def test_the_command(tmp_path: Path) -> None:
    folder, into = bundle(tmp_path, "int8", "fp32"), tmp_path / "repository"
    args = ["export", "triton", str(folder), "-o", str(into), "--variant", "fp32"]
    done = CliRunner().invoke(cli, [*args, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == {
        "repository": str(into), "model": "reviews", "variant": "fp32",
    }  # fmt: skip
    args[4] = str(tmp_path / "second")
    assert CliRunner().invoke(cli, args).output == f"{tmp_path / 'second' / 'reviews'}\n"
