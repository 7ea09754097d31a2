from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepipe.bundle.external import save_as
from edgepipe.errors import BundleError
from tests.bundle.variants import WEIGHTS, graph

X = np.array([[1, 10]], np.float32)


def answer(path: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": X})[0]


def test_a_graph_in_one_file_is_copied_byte_for_byte(tmp_path: Path) -> None:
    source = graph(tmp_path / "a" / "model.onnx")
    save_as(source, tmp_path / "b" / "model_quantized.onnx")
    assert (tmp_path / "b" / "model_quantized.onnx").read_bytes() == source.read_bytes()
    assert len(list((tmp_path / "b").iterdir())) == 1


def test_weights_beside_a_graph_are_renamed_inside_it_too(tmp_path: Path) -> None:
    source = graph(tmp_path / "a" / "model.onnx", external="model.onnx_data")
    target = tmp_path / "b" / "model_q4.onnx"
    save_as(source, target)
    assert sorted(p.name for p in target.parent.iterdir()) == [
        "model_q4.onnx",
        "model_q4.onnx_data",
    ]
    (tmp_path / "a" / "model.onnx_data").unlink()
    np.testing.assert_array_equal(answer(target), X @ WEIGHTS)


def test_weights_of_subgraphs_and_constants_are_renamed_as_well(tmp_path: Path) -> None:
    """``If`` with one branch's weights as an initializer and the other's as a constant node."""
    shape = [1, 3]

    def branch(name: str, *nodes: onnx.NodeProto, weights: list[onnx.TensorProto]):
        out = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, shape)
        return helper.make_graph(list(nodes), name, [], [out], weights)

    def product(name: str) -> onnx.NodeProto:
        return helper.make_node("MatMul", ["x", f"{name}_w"], [f"{name}_y"])

    positive = numpy_helper.from_array(WEIGHTS, "then_w")
    constant = numpy_helper.from_array(-WEIGHTS, "else_value")
    node = helper.make_node(
        "If",
        ["first"],
        ["y"],
        then_branch=branch("then", product("then"), weights=[positive]),
        else_branch=branch(
            "else",
            helper.make_node("Constant", [], ["else_w"], value=constant),
            product("else"),
            weights=[],
        ),
    )
    made = helper.make_graph(
        [node],
        "either",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2]),
            helper.make_tensor_value_info("first", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "a").mkdir()
    source = tmp_path / "a" / "model.onnx"
    onnx.save(
        model, source, save_as_external_data=True, location="model.onnx_data", size_threshold=0,
        convert_attribute=True,
    )  # fmt: skip
    save_as(source, tmp_path / "b" / "model_fp16.onnx")
    assert b"model.onnx_data" not in (tmp_path / "b" / "model_fp16.onnx").read_bytes()
    loaded = onnx.load(tmp_path / "b" / "model_fp16.onnx")
    session = onnxruntime.InferenceSession(
        loaded.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for first, sign in ((True, 1), (False, -1)):
        (found,) = session.run(None, {"x": X, "first": np.array(first)})
        np.testing.assert_array_equal(found, sign * X @ WEIGHTS)


def test_weights_under_a_name_that_nobody_expects_are_refused(tmp_path: Path) -> None:
    source = graph(tmp_path / "model.onnx", external="weights.bin")
    (tmp_path / "model.onnx_data").write_bytes(b"")
    with pytest.raises(BundleError, match=r"w lies in weights\.bin, not model\.onnx_data"):
        save_as(source, tmp_path / "b" / "model.onnx")


def test_external_weights_are_never_read(tmp_path: Path) -> None:
    """They may be larger than memory: here they are cut short, and nobody notices."""
    source = graph(tmp_path / "a" / "model.onnx", external="model.onnx_data")
    (tmp_path / "a" / "model.onnx_data").write_bytes(b"x")
    save_as(source, tmp_path / "b" / "model.onnx", {"edgepipe.task": "x"})
    made = onnx.load(tmp_path / "b" / "model.onnx", load_external_data=False)
    assert [(e.key, e.value) for e in made.metadata_props] == [("edgepipe.task", "x")]
    assert (tmp_path / "b" / "model.onnx_data").read_bytes() == b"x"


def test_a_damaged_graph_is_refused(tmp_path: Path) -> None:
    source = graph(tmp_path / "model.onnx", external="model.onnx_data")
    source.write_bytes(source.read_bytes()[:-20])
    with pytest.raises(BundleError, match="is not a readable ONNX file"):
        save_as(source, tmp_path / "b" / "model.onnx")
