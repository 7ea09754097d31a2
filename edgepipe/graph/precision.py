"""What a graph computes in, read off its operators and weights."""

from __future__ import annotations

from typing import Literal

import onnx_ir as ir

from edgepipe.graph.store import op_counts

Precision = Literal["fp32", "fp16", "int8", "q4"]
_INT8 = (
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger",
    "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "DynamicQuantizeLSTM", "QAttention", "QGemm",
)  # fmt: skip
_WEIGHT_ONLY = ("MatMulNBits", "GatherBlockQuantized", "MatMulBnb4")


def precision(model: ir.Model) -> Precision:
    """The lowest precision in ``model``: integer operators, else half precision weights."""
    found = op_counts(model)
    if any(name in found for name in _WEIGHT_ONLY):
        return "q4"
    if any(name in _INT8 or name.startswith("QLinear") for name in found):
        return "int8"
    weights = model.graph.initializers.values()
    return "fp16" if any(value.dtype == ir.DataType.FLOAT16 for value in weights) else "fp32"
