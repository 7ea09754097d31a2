"""Operations of matrix products and convolutions, from the shapes that went through a node.

A product of ``m x k`` by ``k x n`` is ``2 m n k`` operations, a multiplication and an addition
each; biases, norms and activations are left out, as torch.utils.flop_counter leaves them out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgepipe.measure.trace import Event, Value

MICROSOFT = "com.microsoft"
STANDARD = ("", "ai.onnx")
_INT8 = frozenset({"int8", "uint8"})


@dataclass(frozen=True)
class Call:
    """A node with the values that went through it, at the positions of its signature."""

    inputs: Sequence[Value | None]
    outputs: Sequence[Value | None]
    attributes: Mapping[str, Any]

    def shape(self, index: int) -> tuple[int, ...]:
        """Of an input; KeyError when it was left out."""
        found = self.get(index)
        if found is None:
            raise KeyError(index)
        return found.shape

    def get(self, index: int) -> Value | None:
        """An input, if it was given."""
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def out(self) -> Value:
        """The first output."""
        found = self.outputs[0] if self.outputs else None
        if found is None:
            raise KeyError(0)
        return found

    def flag(self, name: str) -> bool:
        """An attribute that is 0 or 1."""
        return bool(self.attributes.get(name, 0))


@dataclass(frozen=True)
class Operations:
    """Of one node, apart by what they multiply."""

    fp32: int = 0
    int8: int = 0


Formula = Callable[[Call], int]


def _matmul(call: Call) -> int:
    """Any batch dimensions, by the size of what comes out."""
    shape = call.shape(0)
    turned = call.flag("transA") and len(shape) > 1
    return 2 * call.out.size * shape[-2 if turned else -1]


def _gemm(call: Call) -> int:
    return 2 * call.out.size * call.shape(0)[0 if call.flag("transA") else 1]


def _conv(weight: int) -> Formula:
    """Each output sums over the weights of its own filter: ``[filters, channels / group, …]``."""
    return lambda call: 2 * call.out.size * math.prod(call.shape(weight)[1:])


def _conv_transpose(call: Call) -> int:
    """Each input is spread by ``[channels, filters / group, …]``."""
    return 2 * math.prod(call.shape(0)) * math.prod(call.shape(1)[1:])


def _recurrent(call: Call) -> int:
    """Every step of every text multiplies by the input's and the state's weights."""
    steps = math.prod(call.shape(0)[:2])
    return 2 * steps * (math.prod(call.shape(1)) + math.prod(call.shape(2)))


def _einsum(call: Call) -> int:
    """Two operands with an index that is summed over; ValueError for other sums of products."""
    equation = call.attributes["equation"].decode().replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if "." in equation or len(terms) > 2:  # noqa: PLR2004
        raise ValueError(equation)
    if not arrow:  # the indices that occur once
        right = "".join(index for index, count in Counter(left).items() if count == 1)
    sizes: dict[str, int] = {}
    for place, term in enumerate(terms):
        sizes.update(zip(term, call.shape(place), strict=True))
    shared = set(terms[0]) & set(terms[-1]) - set(right) if len(terms) > 1 else set()
    return 2 * math.prod(sizes.values()) if shared else 0


def _past(call: Call, index: int) -> int:
    """Tokens in a cache ``[…, tokens, head size]``."""
    found = call.get(index)
    return found.shape[-2] if found else 0


def _projections(call: Call) -> int:
    """Of com.microsoft::Attention: ``[batch, tokens, width]`` by ``[width, q + k + v]``."""
    batch, tokens, width = call.shape(0)
    return 2 * batch * tokens * width * call.shape(1)[1]


def _scores(past: int) -> Formula:
    """Of com.microsoft::Attention: queries by keys, and shares by values."""

    def formula(call: Call) -> int:
        batch, tokens, _ = call.shape(0)
        seen = tokens + _past(call, past)
        values = call.out.shape[-1]
        queries = (call.shape(1)[1] - values) // 2
        return 2 * batch * tokens * seen * (queries + values)

    return formula


def _fused_attention(call: Call) -> int:
    return _projections(call) + _scores(4)(call)


def _standard_attention(call: Call) -> int:
    """``[batch, heads, tokens, size]`` or ``[batch, tokens, width]``; as many keys as values."""
    seen = call.shape(1)[-2] + _past(call, 4)
    return 2 * (math.prod(call.shape(0)) + call.out.size) * seen


def _multi_head(call: Call) -> int:
    """com.microsoft::MultiHeadAttention: separate, packed keys and values, or all packed."""
    query, key = call.shape(0), call.get(1)
    packed = key is None
    tokens = query[1] if key is None else key.shape[2 if len(key.shape) == 4 else 1]  # noqa: PLR2004
    if key is not None and len(key.shape) == 5:  # noqa: PLR2004 ([batch, tokens, heads, 2, size])
        tokens = key.shape[1]
    queries = call.out.size if packed else math.prod(query)
    return 2 * (queries + call.out.size) * (tokens + _past(call, 6))


def _grouped(call: Call) -> int:
    """com.microsoft::GroupQueryAttention: a key head may serve several query heads."""
    return 4 * call.out.size * (call.shape(0)[1] + _past(call, 3))


_ANY: dict[str, Formula] = {
    **dict.fromkeys(
        ("MatMul", "FusedMatMul", "TransposeMatMul", "MatMulInteger", "MatMulIntegerToFloat",
         "DynamicQuantizeMatMul", "QLinearMatMul", "MatMulNBits", "MatMulBnb4", "MatMulFpQ4",
         "GemmFastGelu"),
        _matmul,
    ),
    **dict.fromkeys(("Gemm", "FusedGemm", "QGemm", "GemmFloat8"), _gemm),
    **dict.fromkeys(
        ("Conv", "FusedConv", "ConvInteger", "NhwcConv", "NhwcFusedConv", "DeformConv"), _conv(1)
    ),
    "QLinearConv": _conv(3),
    **dict.fromkeys(("ConvTranspose", "ConvTransposeWithDynamicPads"), _conv_transpose),
    **dict.fromkeys(("LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"), _recurrent),
    "Einsum": _einsum,
    "MultiHeadAttention": _multi_head,
    "GroupQueryAttention": _grouped,
}  # fmt: skip
_INTEGER = frozenset(
    {"MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinearMatMul", "QGemm",
     "ConvInteger", "QLinearConv", "DynamicQuantizeLSTM"}
)  # fmt: skip
_FOLDED = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose", "FusedMatMul", "Einsum"})
"""What becomes an integer product where both operands come from a DequantizeLinear."""
_SUSPECT = ("matmul", "gemm", "conv", "attention", "einsum", "lstm", "gru", "rnn", "linear")
_HARMLESS = frozenset({"DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"})
_PLAIN = frozenset(
    ("BiasAdd", "BiasDropout", "BiasGelu", "BiasSoftmax", "BiasSplitGelu", "BitmaskDropout",
     "DequantizeBFP", "DequantizeLinear", "DequantizeWithOrder", "DynamicTimeWarping",
     "EmbedLayerNormalization", "ExpandDims", "FastGelu", "GatherBlockQuantized", "GatherND",
     "Gelu", "GridSample", "GroupNorm", "Irfft", "IsAllFinite", "MulInteger", "NGramRepeatBlock",
     "Pad", "QEmbedLayerNormalization", "QLinearAdd", "QLinearAveragePool", "QLinearConcat",
     "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMul", "QLinearReduceMean",
     "QLinearSigmoid", "QLinearSoftmax", "QLinearWhere", "QOrderedGelu",
     "QOrderedLayerNormalization", "QuantizeBFP", "QuantizeLinear", "QuantizeWithOrder",
     "QuickGelu", "Range", "ReduceSumInteger", "RemovePadding", "RestorePadding", "Rfft",
     "RotaryEmbedding", "SampleOp", "SimplifiedLayerNormalization", "SkipGroupNorm",
     "SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "Tokenizer", "Trilu", "Unique")
)  # fmt: skip
"""Operators of onnxruntime's own domain that multiply no matrices."""


def operations(call: Call, domain: str, operator: str, folded: bool) -> Operations | None:  # noqa: FBT001
    """What a node multiplies; None when that is not known, nothing for what multiplies nothing.

    ``folded``: both operands come from a DequantizeLinear.
    """
    try:
        return _known(call, domain, operator, folded=folded)
    except (KeyError, IndexError, ValueError):  # shapes that the operator cannot have
        return None


def _known(call: Call, domain: str, operator: str, *, folded: bool) -> Operations | None:
    if operator == "Attention":
        own = domain == MICROSOFT
        return Operations(fp32=(_fused_attention if own else _standard_attention)(call))
    if operator == "QAttention":
        return Operations(fp32=_scores(8)(call), int8=_projections(call))
    formula = _ANY.get(operator) if domain in (*STANDARD, MICROSOFT) else None
    if formula is None:
        return None if may_multiply(domain, operator) else Operations()
    count = formula(call)
    integer = operator in _INTEGER or (folded and operator in _FOLDED)
    return Operations(int8=count) if integer else Operations(fp32=count)


def may_multiply(domain: str, operator: str) -> bool:
    """Whether an operator without a formula might multiply matrices."""
    if domain in STANDARD:
        name = operator.lower()
        return operator not in _HARMLESS and any(part in name for part in _SUSPECT)
    return not (domain == MICROSOFT and operator in _PLAIN)


def is_int8(value: Value | None) -> bool:
    """Whether a tensor holds 8-bit integers."""
    return value is not None and value.kind in _INT8


def positioned(values: Sequence[Value], names: Sequence[str]) -> list[Value | None]:
    """``values`` at the positions of the ``names`` that are not empty.

    As they come where their numbers differ.
    """
    given = [index for index, name in enumerate(names) if name]
    if len(given) != len(values):
        return list(values)
    found: list[Value | None] = [None] * len(names)
    for index, value in zip(given, values, strict=True):
        found[index] = value
    return found


def call_of(event: Event, node: Any) -> Call:
    """An event with its node's attributes, numbers and bytes alone; ``node`` None: none known."""
    if node is None:
        return Call(event.inputs, event.outputs, {})
    attributes = {a.name: a.s or a.i for a in node.attribute}
    return Call(
        positioned(event.inputs, node.input), positioned(event.outputs, node.output), attributes
    )
