"""Every formula against products counted by hand: 2 for each multiplication and its addition."""

from __future__ import annotations

import numpy as np
import pytest

from edgepipe.measure.operations import Operations
from tests.measure.graphs import multiplies, saved, zeros

F, U8, I8, I32 = "float32", "uint8", "int8", "int32"
X = {"x": zeros(2, 3, 4)}
W = {"w": zeros(4, 5)}
SCALES = {"s": np.float32(0.5).reshape(()), "z": zeros(kind=U8), "zs": zeros(kind=I8)}
FLOAT = {
    "matmul": ("MatMul (x, w)", X, W, 2 * 2 * 3 * 4 * 5),
    "matmul of a vector": ("MatMul (x, w)", {"x": zeros(4)}, W, 2 * 4 * 5),
    "gemm": ("Gemm (x, w)", {"x": zeros(3, 4)}, W, 2 * 3 * 4 * 5),
    "gemm turned": (
        "Gemm <transA = 1, transB = 1> (x, w)", {"x": zeros(4, 3)}, {"w": zeros(5, 4)}, 120,
    ),
    "fused, turned": (
        "com.microsoft.FusedMatMul <transA = 1> (x, w)", {"x": zeros(2, 4, 3)}, W, 240,
    ),
    "conv in two groups": (
        "Conv <group = 2, pads = [1, 1, 1, 1]> (x, w)", {"x": zeros(1, 4, 8, 8)},
        {"w": zeros(6, 2, 3, 3)}, 2 * (6 * 8 * 8) * (2 * 3 * 3),
    ),
    "transposed conv": (
        "ConvTranspose <strides = [2, 2]> (x, w)", {"x": zeros(1, 4, 5, 5)},
        {"w": zeros(4, 6, 2, 2)}, 2 * (4 * 5 * 5) * (6 * 2 * 2),
    ),
    "einsum of heads": (
        'Einsum <equation = "bid, bjd -> bij"> (x, w)', X, {"w": zeros(2, 7, 4)}, 2 * 2 * 3 * 7 * 4,
    ),
    "einsum without an arrow": ('Einsum <equation = "bij,jk"> (x, w)', X, W, 240),
    "einsum that only multiplies": (
        'Einsum <equation = "bij,bij->bij"> (x, w)', X, {"w": zeros(2, 3, 4)}, 0,
    ),
    "einsum that only sums": ('Einsum <equation = "bij->b"> (x)', X, {}, 0),
    "4-bit weights": (
        "com.microsoft.MatMulNBits <K = 32, N = 6, bits = 4, block_size = 16> (x, w, scale)",
        {"x": zeros(3, 32)}, {"w": zeros(6, 2, 8, kind=U8), "scale": zeros(6 * 2)},
        2 * 3 * 32 * 6,
    ),
    "lstm": (
        "LSTM <hidden_size = 5> (x, w, r)", {"x": zeros(7, 2, 3)},
        {"w": zeros(1, 20, 3), "r": zeros(1, 20, 5)}, 7 * 2 * 4 * (2 * 3 * 5 + 2 * 5 * 5),
    ),
    "attention with its projections": (
        "com.microsoft.Attention <num_heads = 2> (x, w, b)", {"x": zeros(1, 7, 8)},
        {"w": zeros(8, 24), "b": zeros(24)}, 2 * 7 * 8 * 24 + 2 * (2 * 7 * 7 * 8),
    ),
    "attention with wide queries": (
        "com.microsoft.Attention <num_heads = 2, qkv_hidden_sizes = [12, 12, 8]> (x, w, b)",
        {"x": zeros(1, 7, 8)}, {"w": zeros(8, 32), "b": zeros(32)},
        2 * 7 * 8 * 32 + 2 * 7 * 7 * 12 + 2 * 7 * 7 * 8,
    ),
    "multi-head attention": (
        "com.microsoft.MultiHeadAttention <num_heads = 2> (x, w, w)", {"x": zeros(1, 7, 8)},
        {"w": zeros(1, 9, 8)}, 2 * (2 * 7 * 9 * 8),
    ),
    "standard attention, four axes": (
        "Attention (x, w, w)", {"x": zeros(2, 4, 7, 8)}, {"w": zeros(2, 4, 9, 8)},
        2 * (2 * 2 * 4 * 7 * 9 * 8),
    ),
    "standard attention, three axes": (
        "Attention <q_num_heads = 4, kv_num_heads = 2> (x, w, w)", {"x": zeros(2, 7, 8)},
        {"w": zeros(2, 9, 4)}, 2 * (2 * 2 * 7 * 9 * 8),
    ),
}  # fmt: skip
BYTE = {"x": zeros(2, 3, 4, kind=U8)}
INTEGER = {
    "MatMulInteger": ("MatMulInteger (x, w)", BYTE, {"w": zeros(4, 5, kind=I8)}, 240),
    "QLinearMatMul": (
        "QLinearMatMul (x, s, z, w, s, zs, s, z)", BYTE, {**SCALES, "w": zeros(4, 5, kind=I8)}, 240,
    ),
    "DynamicQuantizeMatMul": (
        "com.microsoft.DynamicQuantizeMatMul (x, w, s)", X,
        {**SCALES, "w": zeros(4, 5, kind=I8)}, 240,
    ),
    "MatMulIntegerToFloat": (
        "com.microsoft.MatMulIntegerToFloat (x, w, s, s)", BYTE,
        {**SCALES, "w": zeros(4, 5, kind=I8)}, 240,
    ),
    "QGemm": (
        "com.microsoft.QGemm (x, s, z, w, s, zs)", {"x": zeros(3, 4, kind=U8)},
        {**SCALES, "w": zeros(4, 5, kind=I8)}, 120,
    ),
    "ConvInteger": (
        "ConvInteger (x, w)", {"x": zeros(1, 4, 5, 5, kind=U8)},
        {"w": zeros(6, 4, 3, 3, kind=I8)}, 2 * (6 * 3 * 3) * (4 * 3 * 3),
    ),
    "QLinearConv": (
        "QLinearConv (x, s, z, w, s, zs, s, z)", {"x": zeros(1, 4, 5, 5, kind=U8)},
        {**SCALES, "w": zeros(6, 4, 3, 3, kind=I8)}, 2 * (6 * 3 * 3) * (4 * 3 * 3),
    ),
}  # fmt: skip
KINDS = {"float32": "float", "uint8": "uint8", "int8": "int8", "int64": "int64"}


def graph(call: str, feed: dict[str, np.ndarray], gives: str = "float") -> str:
    takes = ", ".join(
        f"{KINDS[array.dtype.name]}[{', '.join(map(str, array.shape))}] {name}"
        for name, array in feed.items()
    )
    return f"g ({takes}) => ({gives} y) {{ y = {call} }}"


@pytest.mark.parametrize("case", FLOAT)
def test_products_of_floats(tmp_path, case):
    call, feed, weights, expected = FLOAT[case]
    path = saved(tmp_path / "g.onnx", graph(call, feed), weights)
    assert multiplies(path, feed) == (Operations(fp32=expected), ())


@pytest.mark.parametrize("case", INTEGER)
def test_products_of_integers(tmp_path, case):
    call, feed, weights, expected = INTEGER[case]
    gives = {"MatMulInteger": "int32", "ConvInteger": "int32", "DynamicQuantizeMatMul": "float",
             "MatMulIntegerToFloat": "float", "QGemm": "float"}.get(case, "uint8")  # fmt: skip
    path = saved(tmp_path / "g.onnx", graph(call, feed, gives), weights)
    assert multiplies(path, feed) == (Operations(int8=expected), ())


def test_a_quantized_attention_projects_in_integers_and_attends_in_floats(tmp_path):
    call = "com.microsoft.QAttention <num_heads = 2> (x, w, b, s, s)"
    weights = {**SCALES, "w": zeros(8, 24, kind=I8), "b": zeros(24)}
    feed = {"x": zeros(1, 7, 8, kind=U8)}
    path = saved(tmp_path / "g.onnx", graph(call, feed), weights)
    expected = Operations(fp32=2 * (2 * 7 * 7 * 8), int8=2 * 7 * 8 * 24)
    assert multiplies(path, feed) == (expected, ())


def test_a_cache_lengthens_grouped_attention(tmp_path):
    """4 query heads and 2 of keys and values, of size 8; 3 new tokens after 5 cached ones."""
    text = """g (float[1, 3, 32] q, float[1, 3, 16] k, float[1, 2, 5, 8] p)
      => (float y, float pk, float pv) {
      y, pk, pv = com.microsoft.GroupQueryAttention <num_heads = 4, kv_num_heads = 2>
        (q, k, k, p, p, last, total) }"""
    weights = {"last": np.array([7], np.int32), "total": np.array(8, np.int32)}
    path = saved(tmp_path / "g.onnx", text, weights)
    feed = {"q": zeros(1, 3, 32), "k": zeros(1, 3, 16), "p": zeros(1, 2, 5, 8)}
    assert multiplies(path, feed) == (Operations(fp32=2 * (2 * 3 * 8 * 4 * 8)), ())


def test_a_float_product_between_dequantizers_counts_as_integer(tmp_path):
    """Both operands of the first come from int8, of the second the weight alone, of the third
    from 16 bits."""
    text = """g (uint8[3, 4] x, uint16[3, 4] h) => (float a, float b, float c) {
      xf = DequantizeLinear (x, s, z)
      wf = DequantizeLinear (w, s, zs)
      hf = DequantizeLinear (h, s)
      a = MatMul (xf, wf)
      e = Relu (xf)
      b = MatMul (e, wf)
      c = MatMul (hf, wf)
    }"""
    path = saved(tmp_path / "g.onnx", text, {**SCALES, "w": zeros(4, 5, kind=I8)})
    feed = {"x": zeros(3, 4, kind=U8), "h": zeros(3, 4, kind="uint16")}
    assert multiplies(path, feed) == (Operations(fp32=240, int8=120), ())


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ("com.microsoft.CDist (x, w)", ("com.microsoft::CDist",)),
        ("com.microsoft.BiasGelu (x, b)", ()),
        ('Einsum <equation = "...ij,jk->...ik"> (x, v)', ("Einsum",)),
        ("Softmax (x)", ()),
        ("own.Thing (x)", ()),
    ],
    ids=["distances", "activation", "ellipsis", "standard", "a function"],
)
def test_what_may_multiply_unseen_is_named(tmp_path, call, named):
    """A function is no unknown operator: what it is made of runs in its place."""
    text = f"g (float[3, 4] x) => (float y) {{ y = {call} }}"
    own = '<domain: "own", opset_import: ["" : 23]> Thing (x) => (y) { y = MatMul (x, x) }'
    if "Thing" in call:
        text = text.replace("[3, 4]", "[4, 4]") + "\n" + own
    weights = {"w": zeros(5, 4), "b": zeros(4), "v": zeros(4, 5)}
    path = saved(tmp_path / "g.onnx", text, weights)
    square = zeros(4, 4) if "Thing" in call else zeros(3, 4)
    done, unknown = multiplies(path, {"x": square})
    assert unknown == named
    assert done == Operations(fp32=2 * 4 * 4 * 4 if "Thing" in call else 0)
