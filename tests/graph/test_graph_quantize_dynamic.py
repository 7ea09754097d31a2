import hashlib
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from edgepipe.errors import StageError
from edgepipe.graph import store
from edgepipe.graph.quantize_dynamic import DynamicSettings, quantize, saturates
from edgepipe.graph.transforms import ort_optimizer
from tests.graph.toy_graphs import (
    encoder,
    feed,
    filled,
    graph_ops,
    product,
    run,
    saved,
    weights,
)

RANDOM = np.random.default_rng(5)


HALF = """<ir_version: 10, opset_import: ["" : 20]>
g (float16[batch, 8] x) => (float16[batch, 8] y) { y = MatMul (x, w) }"""
EMPTY = """<ir_version: 10, opset_import: ["" : 20]>
g (float[batch, 8] x) => (float[batch, 8] y) { y = Relu (x) }"""


def int8(path):
    quantize(saved(encoder(), path.with_name("float.onnx")), path, DynamicSettings())
    return path


def initializers(path):
    return {i.name: numpy_helper.to_array(i) for i in onnx.load(path).graph.initializer}


def by_hand(x, weight, *, per_channel, bits=8):
    """Jacob et al. 2018, section 2: asymmetric uint8 activations, symmetric int8 weights."""
    low, high = min(x.min(), 0), max(x.max(), 0)
    scale = (high - low) / 255
    zero = np.clip(np.round(-low / scale), 0, 255)
    x_q = np.clip(np.round(x / scale) + zero, 0, 255)
    top = 127 if bits == 8 else 64
    axis = 0 if per_channel else None
    w_scale = np.abs(weight).max(axis=axis, keepdims=True) / top
    w_q = np.clip(np.round(weight / w_scale), -top, top)
    return (x_q - zero) @ w_q * scale * w_scale


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("reduce_range", [True, False])
def test_a_product_is_what_the_formula_says(tmp_path, per_channel, reduce_range):
    weight = RANDOM.normal(size=(16, 6)).astype(np.float32) * np.logspace(-2, 2, 6, dtype="f4")
    path = saved(product(weight), tmp_path / "m.onnx")
    settings = DynamicSettings(per_channel=per_channel, reduce_range=reduce_range)
    quantize(path, tmp_path / "int8.onnx", settings)
    x = RANDOM.normal(size=(5, 16)).astype(np.float32)
    found = run(tmp_path / "int8.onnx", {"x": x})
    expected = by_hand(x, weight, per_channel=per_channel, bits=7 if reduce_range else 8)
    assert (np.abs(found - expected) <= 1e-4 * np.abs(expected).max(axis=0)).all()


def test_per_channel_keeps_a_small_column_that_per_tensor_loses(tmp_path):
    weight = RANDOM.normal(size=(16, 2)).astype(np.float32) * np.array([1e3, 1e-3], np.float32)
    path = saved(product(weight), tmp_path / "m.onnx")
    x = RANDOM.normal(size=(4, 16)).astype(np.float32)
    small = {}
    for per_channel in (True, False):
        quantize(path, tmp_path / "int8.onnx", DynamicSettings(per_channel=per_channel))
        small[per_channel] = run(tmp_path / "int8.onnx", {"x": x})[:, 1]
        scales = initializers(tmp_path / "int8.onnx")["w_scale"]
        assert scales.shape == ((2,) if per_channel else ())
    np.testing.assert_allclose(small[True], (x @ weight)[:, 1], atol=3e-4)
    assert (small[False] == 0).all()


def test_weights_are_int8_in_eight_or_seven_bits(tmp_path):
    path = saved(encoder(), tmp_path / "m.onnx")
    for reduce_range, top in ((False, 127), (True, 64)):
        quantize(path, tmp_path / "int8.onnx", DynamicSettings(reduce_range=reduce_range))
        weight = initializers(tmp_path / "int8.onnx")["first_quantized"]
        assert weight.dtype == np.int8
        assert np.abs(weight.astype(int)).max() == top


def test_an_encoder_is_quantized_and_answers_alike(tmp_path):
    path = saved(encoder(), tmp_path / "m.onnx")
    report = quantize(path, tmp_path / "int8.onnx", DynamicSettings())
    ops = graph_ops(onnx.load(tmp_path / "int8.onnx"))
    assert report.quantized == {"MatMulInteger": 3, "Gather": 1}
    assert report.left_in_float == {}
    assert (ops.count("MatMulInteger"), ops.count("MatMul"), ops.count("Gemm")) == (3, 0, 0)
    assert report.bytes_before == path.stat().st_size
    assert report.bytes_after == (tmp_path / "int8.onnx").stat().st_size
    onnx.checker.check_model(str(tmp_path / "int8.onnx"), full_check=True)
    given = feed()
    np.testing.assert_allclose(run(tmp_path / "int8.onnx", given), run(path, given), atol=0.05)


def test_embeddings_are_left_in_float_when_asked(tmp_path):
    path = saved(encoder(), tmp_path / "m.onnx")
    report = quantize(path, tmp_path / "int8.onnx", DynamicSettings(embeddings=False))
    assert report.quantized == {"MatMulInteger": 3}
    np.testing.assert_array_equal(initializers(tmp_path / "int8.onnx")["table"], weights()["table"])


def test_a_quantized_table_is_one_scale_of_asymmetric_uint8(tmp_path):
    path = saved(encoder(), tmp_path / "m.onnx")
    quantize(path, tmp_path / "int8.onnx", DynamicSettings())
    found = initializers(tmp_path / "int8.onnx")
    table, scale = found["table_quantized"], found["table_scale"]
    assert (table.dtype, scale.shape) == (np.uint8, ())
    restored = (table.astype(np.float32) - found["table_zero_point"]) * scale
    expected = weights()["table"]
    assert np.abs(restored - expected).max() <= (np.ptp(expected) / 255) * 0.51


def test_a_product_of_two_activations_stays_in_float(tmp_path):
    text = """<ir_version: 10, opset_import: ["" : 20]>
    g (float[batch, 8] x) => (float[batch, batch] y)
    { h = MatMul (x, w)  t = Transpose (h)  y = MatMul (h, t) }"""
    model = filled(text, {"w": RANDOM.normal(size=(8, 8)).astype(np.float32)})
    report = quantize(saved(model, tmp_path / "m.onnx"), tmp_path / "q.onnx", DynamicSettings())
    assert (report.quantized, report.left_in_float) == ({"MatMulInteger": 1}, {"MatMul": 1})


def test_attention_of_opset_23_stays_as_it_is(tmp_path):
    text = """<ir_version: 11, opset_import: ["" : 23]>
    g (float[batch, 3, 8] x) => (float[batch, 3, 8] y)
    { h = MatMul (x, w)  y = Attention <q_num_heads = 2, kv_num_heads = 2> (h, h, x) }"""
    model = filled(text, {"w": RANDOM.normal(size=(8, 8)).astype(np.float32)})
    path = saved(model, tmp_path / "m.onnx")
    report = quantize(path, tmp_path / "q.onnx", DynamicSettings())
    assert report.left_in_float == {"Attention": 1}
    assert "QAttention" not in graph_ops(onnx.load(tmp_path / "q.onnx"))
    given = {"x": RANDOM.normal(size=(2, 3, 8)).astype(np.float32)}
    np.testing.assert_allclose(run(tmp_path / "q.onnx", given), run(path, given), atol=0.1)


def test_types_of_transposed_weights_do_not_get_in_the_way(tmp_path):
    model = encoder()
    stale = helper.make_tensor_value_info("head", onnx.TensorProto.FLOAT, [2, 32])
    model.graph.value_info.append(stale)  # as a fresh export has it
    settings = {"per_channel": True, "weight_type": QuantType.QInt8}
    with pytest.raises(Exception, match="Inferred shape and existing shape differ"):
        quantize_dynamic(model, tmp_path / "direct.onnx", **settings)
    path = saved(model, tmp_path / "m.onnx")
    assert quantize(path, tmp_path / "q.onnx", DynamicSettings()).quantized["MatMulInteger"] == 3


def test_a_fused_graph_is_quantized(tmp_path):
    path = saved(encoder(), tmp_path / "m.onnx")
    store.write(ort_optimizer(path).graph, tmp_path / "fused.onnx")
    report = quantize(tmp_path / "fused.onnx", tmp_path / "q.onnx", DynamicSettings())
    assert report.quantized["MatMulInteger"] == 3
    given = feed()
    np.testing.assert_allclose(run(tmp_path / "q.onnx", given), run(path, given), atol=0.05)


def test_no_inferred_shapes_or_metadata_are_left(tmp_path):
    path = saved(encoder(), tmp_path / "m.onnx")
    quantize(path, tmp_path / "q.onnx", DynamicSettings())
    made = onnx.load(tmp_path / "q.onnx")
    assert {v.name for v in made.graph.value_info} <= {i.name for i in made.graph.initializer}
    assert not made.metadata_props
    assert str(tmp_path).encode() not in (tmp_path / "q.onnx").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "q.onnx"]


@pytest.mark.parametrize("limit", [10**9, 0])
def test_external_data_goes_in_and_comes_out(tmp_path, limit):
    plain = saved(encoder(), tmp_path / "plain.onnx")
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    store.write(store.read(plain), tmp_path / "in/model.onnx", limit=0)
    out = tmp_path / "out/model.onnx"
    quantize(tmp_path / "in/model.onnx", out, DynamicSettings(), limit=limit)
    names = [path.name for path in sorted(out.parent.iterdir())]
    assert names == ["model.onnx", "model.onnx_data"][: 1 if limit else 2]
    quantize(plain, tmp_path / "expected.onnx", DynamicSettings())
    given = feed()
    np.testing.assert_array_equal(run(out, given), run(tmp_path / "expected.onnx", given))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (int8, "is int8 already"),
        (lambda path: saved(filled(HALF, {"w": np.ones((8, 8), np.float16)}), path), "is fp16"),
        (lambda path: saved(onnx.parser.parse_model(EMPTY), path), "nothing to quantize"),
    ],
)
def test_what_cannot_be_quantized_is_refused(tmp_path, make, message):
    path = make(tmp_path / "m.onnx")
    with pytest.raises(StageError, match=message):
        quantize(path, tmp_path / "again.onnx", DynamicSettings())
    assert not (tmp_path / "again.onnx").exists()


def test_bytes_are_the_same_in_another_process_with_another_hash_seed(tmp_path):
    path = saved(encoder(), tmp_path / "m.onnx")
    quantize(path, tmp_path / "here.onnx", DynamicSettings())
    code = (
        "import sys; from pathlib import Path;"
        "from edgepipe.graph.quantize_dynamic import DynamicSettings, quantize;"
        "quantize(Path(sys.argv[1]), Path(sys.argv[2]), DynamicSettings())"
    )
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "there.onnx")]
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    done = subprocess.run(command, check=True, capture_output=True, env=environment)
    assert (done.stdout, done.stderr) == (b"", b"")
    here, there = (
        hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        for name in ("here.onnx", "there.onnx")
    )
    assert here == there


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"avx2"}, True),
        ({"avx2", "avx512f"}, True),
        ({"avx2", "avx512f", "avx512_vnni"}, False),
        ({"avx2", "avx_vnni"}, False),
        ({"asimd", "asimddp"}, False),
        (set(), False),
    ],
)
def test_which_processors_saturate(features, expected):
    assert saturates(features) is expected
