"""What honest tools write is accepted, and told as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

from edgepipe.bundle import layout
from edgepipe.bundle.examine import examine
from tests.bundle import variants
from tests.bundle.foreign import FILE, bundle, model
from tests.contracts import tiny_bundles
from tests.contracts.tiny_bundles import TinyModel

INPUTS = {"input_ids", "attention_mask", "token_type_ids"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return tiny_bundles.build(tmp_path_factory.mktemp("bert"), "bert")


@pytest.fixture
def graph(tiny: TinyModel) -> onnx.ModelProto:
    return onnx.load(tiny.bundle / "onnx" / "model.onnx")


def elements(made: onnx.ModelProto) -> int:
    return sum(numpy_helper.to_array(tensor).size for tensor in made.graph.initializer)


def test_a_bundle_as_we_make_it(tiny: TinyModel, graph: onnx.ModelProto) -> None:
    found = examine(tiny.bundle)
    assert found.manifest.labels == tiny_bundles.LABELS
    assert not found.signed
    assert set(found.graphs) == {"onnx/model.onnx", "onnx/model_quantized.onnx"}
    fp32 = found.graphs["onnx/model.onnx"]
    assert fp32.nodes == len(graph.graph.node)
    assert fp32.parameters == elements(graph)
    assert fp32.inputs == dict.fromkeys(INPUTS, "int64[batch, sequence]")
    assert "MatMulInteger" in found.graphs["onnx/model_quantized.onnx"].operators


@pytest.mark.parametrize("threshold", [0, 100, 1024, 10**9])
@pytest.mark.parametrize("in_attributes", [0, 1])
def test_external_data_as_onnx_writes_it(
    graph: onnx.ModelProto, threshold: int, in_attributes: int, tmp_path: Path
) -> None:
    onnx.save_model(
        graph,
        tmp_path / "model.onnx",
        save_as_external_data=True,
        location="model.onnx_data",
        size_threshold=threshold,
        convert_attribute=bool(in_attributes),
    )
    assert_accepted(tmp_path, elements(onnx.load(tmp_path / "model.onnx")))


def test_external_data_under_the_name_that_onnx_makes_up(tmp_path: Path) -> None:
    made = model(tensors=[numpy_helper.from_array(np.ones((3, 4)), "w")])
    onnx.save_model(made, tmp_path / "model.onnx", save_as_external_data=True, size_threshold=0)
    assert_accepted(tmp_path, 12)


def test_external_data_in_a_file_for_each_tensor(tmp_path: Path) -> None:
    made = model(tensors=[numpy_helper.from_array(np.ones((3, n)), f"layer.{n}") for n in range(4)])
    onnx.save_model(
        made,
        tmp_path / "model.onnx",
        save_as_external_data=True,
        all_tensors_to_one_file=False,
        size_threshold=0,
    )
    assert_accepted(tmp_path, 3 * (0 + 1 + 2 + 3))


@pytest.mark.parametrize("rows", [100, 600_000])  # above 1 MB its writer aligns to 64 KiB
def test_external_data_as_onnx_ir_writes_it(rows: int, tmp_path: Path) -> None:
    made = model(tensors=[numpy_helper.from_array(np.ones((rows, n)), f"w{n}") for n in (1, 2, 1)])
    made.graph.initializer[2].name = "last"
    onnx_ir.save(onnx_ir.from_proto(made), tmp_path / "model.onnx", external_data="model.data")
    assert_accepted(tmp_path, rows * 4)


def assert_accepted(written: Path, parameters: int) -> None:
    """As the graph of a bundle, with whatever files the writer put beside it."""
    data = {f.name: f.read_bytes() for f in written.iterdir() if f.name != "model.onnx"}
    folder = bundle(written / "bundle", (written / "model.onnx").read_bytes(), data)
    assert examine(folder).graphs[FILE].parameters == parameters


def test_external_data_as_our_bundles_hold_it(tmp_path: Path) -> None:
    """Renamed by ``edgepipe.bundle.external``. The tokenizer of that model is no tokenizer."""
    made = variants.variant(tmp_path / "fp32", external=True)
    (tmp_path / "bundle").mkdir()
    layout.assemble({"fp32": made}, {}, tmp_path / "bundle", name="m", data="")
    content = (tmp_path / "bundle" / FILE).read_bytes()
    data = (tmp_path / "bundle" / "onnx" / "model.onnx_data").read_bytes()
    folder = bundle(tmp_path / "again", content, {"model.onnx_data": data})
    assert examine(folder).graphs[FILE].parameters == variants.WEIGHTS.size


def test_half_precision(graph: onnx.ModelProto, tmp_path: Path) -> None:
    made = convert_float_to_float16(graph, keep_io_types=True)
    found = examine(bundle(tmp_path / "bundle", made)).graphs[FILE]
    assert found.outputs["logits"].startswith("float[")


def test_every_type_that_onnx_makes_is_counted_as_onnx_stores_it(tmp_path: Path) -> None:
    """Raw and in typed fields, odd sizes included, but for types no runtime knows yet."""
    made = model()
    unknown = {"UNDEFINED", "FLOAT6E2M3", "FLOAT6E3M2"}
    for name, kind in TensorProto.DataType.items():
        for size in (0, 1, 3, 5, 8):
            if name not in unknown:
                values = [b"x"] * size if name == "STRING" else np.zeros(size)
                made.graph.initializer.append(
                    helper.make_tensor(f"{name}{size}", kind, [size], values)
                )
    for array in (np.ones(3, np.float16), np.ones(5, np.complex64), np.ones(7, np.uint8)):
        made.graph.initializer.append(numpy_helper.from_array(array, f"raw {array.dtype}"))
    onnx.checker.check_tensor(made.graph.initializer[0])
    examine(bundle(tmp_path / "bundle", made))
