import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgepipe.errors import StageError
from edgepipe.graph import intake, session, store
from edgepipe.graph.precision import precision
from edgepipe.graph.quantize_dynamic import DynamicSettings, quantize
from tests.graph.toy_graphs import encoder, feed, filled, run, saved


@pytest.mark.parametrize("name", ["model.onnx", "onnx/model.onnx", "other.onnx"])
def test_a_graph_is_found_in_its_folder(tmp_path, name):
    (tmp_path / "onnx").mkdir()
    path = saved(encoder(), tmp_path / name)
    assert intake.find(tmp_path) == path
    assert intake.find(path) == path


@pytest.mark.parametrize(
    ("names", "message"), [((), "found: none"), (("a.onnx", "b.onnx"), "found: a.onnx, b.onnx")]
)
def test_an_unclear_folder_is_refused(tmp_path, names, message):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(StageError, match=message):
        intake.find(tmp_path)


def test_a_classifier_is_accepted(tmp_path):
    graph = intake.accept(saved(encoder(), tmp_path / "m.onnx"), 2)
    assert intake.opset(graph) == 20


def renamed(model):
    model.graph.input[1].name = "pixels"
    next(n for n in model.graph.node if n.op_type == "Cast").input[0] = "pixels"


def fixed(model):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 128


def narrow(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT32


def flat(model):
    del model.graph.output[0].type.tensor_type.shape.dim[1]


def unknown(model):
    model.graph.node[0].domain = "org.example"
    model.opset_import.append(helper.make_opsetid("org.example", 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (renamed, "takes input_ids, pixels; known are input_ids, attention_mask"),
        (fixed, r"takes input_ids in the fixed shape \['batch', 128\]"),
        (narrow, "takes input_ids as INT32; the runtime feeds int64"),
        (flat, r"gives logits in shape \['batch'\], not \[batch, labels\]"),
        (unknown, "onnxruntime cannot load"),
    ],
)
def test_other_graphs_are_refused(tmp_path, change, message):
    model = encoder()
    change(model)
    with pytest.raises(StageError, match=message):
        intake.accept(saved(model, tmp_path / "m.onnx"), 2)


def test_another_number_of_labels_is_refused(tmp_path):
    with pytest.raises(StageError, match="gives 2 logits, and there are 3 labels"):
        intake.accept(saved(encoder(), tmp_path / "m.onnx"), 3)


def one_node(op_type, domain=""):
    text = f"""<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>
    g (float[batch, 8] x) => (y) {{ y = {domain}{op_type} (x) }}"""
    return onnx.parser.parse_model(text)


@pytest.mark.parametrize(
    ("op_type", "expected"),
    [
        ("Relu", "fp32"),
        ("com.microsoft.MatMulNBits", "q4"),
        ("QLinearMatMul", "int8"),
        ("QuantizeLinear", "int8"),
        ("com.microsoft.QAttention", "int8"),
    ],
)
def test_operators_tell_the_precision(tmp_path, op_type, expected):
    path = saved(one_node(op_type), tmp_path / "m.onnx")
    assert precision(store.read(path)) == expected


def test_weights_tell_half_precision(tmp_path):
    text = """<ir_version: 10, opset_import: ["" : 20]>
    g (float16[batch, 8] x) => (float16[batch, 8] y) { y = Add (x, w) }"""
    for dtype, expected in ((np.float16, "fp16"), (np.float32, "fp32")):
        path = saved(filled(text, {"w": np.ones(8, dtype)}), tmp_path / "m.onnx")
        assert precision(store.read(path)) == expected


def test_dynamic_int8_is_seen(tmp_path):
    quantize(saved(encoder(), tmp_path / "m.onnx"), tmp_path / "q.onnx", DynamicSettings())
    assert precision(store.read(tmp_path / "q.onnx")) == "int8"


def test_a_session_answers_as_onnxruntime_does(tmp_path):
    path = saved(encoder(), tmp_path / "m.onnx")
    given = feed()
    for level, optimized in (("disable", False), ("all", True)):
        found = session.logits(session.open_session(path, level), given)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, run(path, given, optimized=optimized))


def test_a_failing_run_names_the_shapes(tmp_path, capfd):
    opened = session.open_session(saved(encoder(), tmp_path / "m.onnx"))
    wrong = {"input_ids": np.zeros((2, 3), np.int64), "attention_mask": np.ones((5, 7), np.int64)}
    with pytest.raises(StageError, match=r"'attention_mask': \(5, 7\)"):
        session.logits(opened, wrong)
    capfd.readouterr()
