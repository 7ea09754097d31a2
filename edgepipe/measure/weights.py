"""Bytes of weights: those a graph holds, and those that one text makes it read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from onnx import TensorProto

from edgepipe.measure.trace import Event, Traced, nodes_under, subgraphs

_BITS = {
    **dict.fromkeys(("UINT2", "INT2"), 2),
    **dict.fromkeys(("UINT4", "INT4", "FLOAT4E2M1"), 4),
    **dict.fromkeys(("UINT16", "INT16", "FLOAT16", "BFLOAT16"), 16),
    **dict.fromkeys(("FLOAT", "UINT32", "INT32"), 32),
    **dict.fromkeys(("DOUBLE", "UINT64", "INT64", "COMPLEX64"), 64),
    "COMPLEX128": 128,
}
"""Bits of one element; 8 for all other types."""
_TABLES = {
    "Gather": (0,),
    "GatherBlockQuantized": (0,),
    "EmbedLayerNormalization": (2, 3, 4),
    "QEmbedLayerNormalization": (2, 3, 4),
}
"""Which inputs of an operator are tables, of which only some rows are read."""


_SMALL = 1000
"""Bytes up to which a constant is a setting (a shape, an axis) and no weight."""


def weight_bytes(model: Any) -> int:
    """Of every initializer, and of every tensor above 1 kB in a ``Constant`` node.

    Subgraphs included; external data is counted and not read.
    """
    constants = (size for _, size in _constants(model.graph))
    return sum(map(_bytes, _initializers(model.graph))) + sum(constants)


def read_bytes(traced: Traced, events: Sequence[Event]) -> int:
    """Of the initializers that a run needs, at least: of tables the rows that were looked up."""
    graph = traced.model.graph
    sizes = {tensor.name: _bytes(tensor) for tensor in _initializers(graph)}
    sizes |= dict(_constants(graph))
    whole: set[str] = set()
    rows: Counter[str] = Counter()
    for event in events:
        node = None if event.node is None else traced.nodes[event.node]
        for place, name in enumerate(node.input if node else ()):
            if place in _TABLES.get(event.operator, ()):
                # a table of 4-bit values gives floats
                rows[name] += min((v.bytes if _same(event) else v.size // 2) for v in event.outputs)
            else:
                whole.add(name)
    return sum(
        size if name in whole else min(size, rows[name])
        for name, size in sizes.items()
        if name in whole or name in rows
    )


def _same(event: Event) -> bool:
    """Whether rows come out in the type that they are stored in."""
    return event.operator in ("Gather", "EmbedLayerNormalization")


def _initializers(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in nodes_under(graph):
        for inner in subgraphs(node):
            yield from inner.initializer


def _constants(graph: Any) -> Iterator[tuple[str, int]]:
    """The output and the bytes of every large constant."""
    for node in nodes_under(graph):
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            size = sum(_held(attribute) for attribute in node.attribute)
            if size > _SMALL:
                yield node.output[0], size


def _held(attribute: Any) -> int:
    """Numbers that an attribute lists are float32 or int64."""
    numbers = 4 * len(attribute.floats) + 8 * len(attribute.ints)
    sparse = attribute.sparse_tensor
    tensors = (attribute.t, sparse.values, sparse.indices)
    return numbers + sum(_bytes(tensor) for tensor in tensors if tensor.data_type)


def _bytes(tensor: Any) -> int:
    bits = _BITS.get(TensorProto.DataType.Name(tensor.data_type), 8)
    return -(-int(math.prod(tensor.dims)) * bits // 8)
