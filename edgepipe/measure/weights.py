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


def weight_bytes(model: Any) -> int:
    """Of every initializer, subgraphs included; external data is counted and not read."""
    return sum(_bytes(tensor) for tensor in _initializers(model.graph))


def read_bytes(traced: Traced, events: Sequence[Event]) -> int:
    """Of the initializers that a run needs, at least: of tables the rows that were looked up."""
    sizes = {tensor.name: _bytes(tensor) for tensor in _initializers(traced.model.graph)}
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


def _bytes(tensor: Any) -> int:
    bits = _BITS.get(TensorProto.DataType.Name(tensor.data_type), 8)
    return -(-int(math.prod(tensor.dims)) * bits // 8)
