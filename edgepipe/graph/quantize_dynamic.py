"""Float32 graph to dynamic int8: weights int8 now, activations uint8 while it runs (U8S8).

A wrapper of ``onnxruntime.quantization.quantize_dynamic`` (formulas: Jacob et al. 2018,
arXiv:1712.05877, section 2). Products get ``MatMulInteger`` with symmetric int8 weights, one scale
an output column or one a tensor. Embedding tables (Gather) become asymmetric uint8 with *one* scale
for the table whatever is asked, because onnxruntime has no other form for them.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from edgepipe import disk
from edgepipe.errors import StageError
from edgepipe.graph import store
from edgepipe.graph.precision import precision
from edgepipe.graph.quiet import silenced

_PRODUCTS = ("MatMul", "Gemm", "FusedMatMul", "FusedGemm", "Attention", "MultiHeadAttention")
_VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_SATURATING = frozenset({"avx2", "avx512f"})


@dataclass(frozen=True, kw_only=True)
class DynamicSettings:
    """How weights are rounded."""

    per_channel: bool = True
    """One scale an output column instead of one a tensor."""
    embeddings: bool = True
    """Embedding tables too."""
    reduce_range: bool = False
    """Weights in 7 bits: see ``saturates``."""


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """What became of a graph."""

    quantized: dict[str, int]
    """Operators that now run in integers; Gather counts embedding tables."""
    left_in_float: dict[str, int]
    bytes_before: int
    bytes_after: int
    settings: DynamicSettings

    def notes(self) -> dict[str, Any]:
        """For the report."""
        return asdict(self)


def saturates(cpu_features: AbstractSet[str]) -> bool:
    """Whether U8S8 products overflow on such an x86 CPU, so that weights should keep to 7 bits.

    Before VNNI, ``vpmaddubsw`` adds two products of 8 bits each in 16 bits: 2 * 255 * 127 is more
    than 32767 and is cut off, silently. Features as /proc/cpuinfo spells them; ARM has no such
    instruction and is False.
    """
    return bool(cpu_features & _SATURATING) and not cpu_features & _VNNI


def quantize(
    source: Path,
    target: Path,
    settings: DynamicSettings,
    *,
    limit: int = store.ONE_FILE_LIMIT,
) -> Quantized:
    """``target`` holds the int8 form of the float32 graph ``source``; the same bytes every time.

    Raises StageError when ``source`` is not float32, or holds nothing that can be quantized.
    ``limit`` is the number of bytes above which weights go to a file beside ``target``.
    """
    found = precision(store.read(source))
    if found != "fp32":
        raise StageError(f"{source} is {found} already; dynamic quantization starts from fp32")
    with disk.scratch(target.parent, ".quantize-") as scratch:
        graph = _quantized(source, scratch / "int8.onnx", settings)
    done, left = _census(graph)
    if not done:
        raise StageError(f"{source} holds no product with a constant weight: nothing to quantize")
    store.write(graph, target, limit=limit)
    return Quantized(
        quantized=done,
        left_in_float=left,
        bytes_before=store.file_bytes(source),
        bytes_after=store.file_bytes(target),
        settings=settings,
    )


def _quantized(source: Path, scratch: Path, settings: DynamicSettings) -> ir.Model:
    """What onnxruntime makes of ``source``, by way of a file at ``scratch``.

    Types are inferred anew, since those of a fresh export contradict its transposed weights, and
    where inference meets a fused operator that it does not know, values are taken for float32.
    ``Attention`` is left out: of an opset 23 graph it would make an invalid ``QAttention``.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    proto = onnx.load(source)
    del proto.graph.value_info[:]
    with silenced(), disk.translated("write", scratch):
        try:
            quantize_dynamic(
                proto,
                scratch,
                op_types_to_quantize=["MatMul", "Gemm", *(["Gather"] * settings.embeddings)],
                per_channel=settings.per_channel,
                reduce_range=settings.reduce_range,
                weight_type=QuantType.QInt8,
                use_external_data_format=proto.ByteSize() > store.ONE_FILE_LIMIT,
                extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
            )
        except OSError:
            raise
        except Exception as error:  # it raises ValueError, RuntimeError, AssertionError, protobuf's
            raise StageError(f"onnxruntime cannot quantize {source}: {error}") from error
    made = onnx.load(scratch)
    del made.graph.value_info[:]  # with these, sessions fuse more into SkipLayerNormalization
    del made.metadata_props[:]
    return ir.from_proto(made)


def _census(graph: ir.Model) -> tuple[dict[str, int], dict[str, int]]:
    """Operators in integers, and products still in float."""
    counts = store.op_counts(graph)
    tables = sum(_is_integer_table(node) for node in graph.graph.all_nodes())
    done = {"MatMulInteger": counts.get("MatMulInteger", 0), "Gather": tables}
    left = {name: counts[name] for name in _PRODUCTS if name in counts}
    return {name: count for name, count in done.items() if count}, left


def _is_integer_table(node: ir.Node) -> bool:
    table = node.inputs[0] if node.op_type == "Gather" else None
    return table is not None and table.is_initializer() and table.dtype == ir.DataType.UINT8
