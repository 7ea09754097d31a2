"""Bytes of the values that a graph computes, all together and alive at the same time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgepipe.measure.operations import positioned
from edgepipe.measure.trace import Event, Traced, nodes_under, subgraphs

Sizes = Mapping[str, int]


def sizes(traced: Traced, events: Sequence[Event]) -> dict[str, int]:
    """Bytes of each value by name, the largest where a loop computes it again.

    Seen where it is computed, or else where it is used: onnxruntime runs some operators as several
    nodes of its own. Constants are not computed. Values in half precision count as the CPU holds
    them, which is in float32 for most operators.
    """
    constants = {n for node in traced.nodes if node.op_type == "Constant" for n in node.output}
    found: Counter[str] = Counter()
    for side in ("output", "input"):
        known = constants if side == "output" else constants | found.keys()
        for event in events:
            if event.node is None:
                continue
            names = getattr(traced.nodes[event.node], side)
            values = positioned(event.outputs if side == "output" else event.inputs, names)
            for name, value in zip(names, values, strict=False):
                if value is not None and name not in known:
                    found[name] = max(found[name], value.bytes)
    return dict(found)


def total_bytes(graph: Any, found: Sizes) -> int:
    """Of every value that a node of ``graph`` computes, subgraphs included, each once."""
    return sum(found.get(name, 0) for node in nodes_under(graph) for name in node.output)


def peak_bytes(graph: Any, found: Sizes) -> int:
    """Of the values alive at once, at most, when nodes run in the order of the file.

    A value is freed after the node that uses it last, and the graph's outputs never. What a
    subgraph computes lives while its node runs. Inputs and weights are not counted.
    """
    kept = {value.name for value in graph.output}
    last = {name: place for place, node in enumerate(graph.node) for name in _touched(node)}
    made: set[str] = set()
    alive = peak = 0
    for place, node in enumerate(graph.node):
        alive += sum(found.get(name, 0) for name in node.output)
        made.update(node.output)
        inner = max((peak_bytes(graph, found) for graph in subgraphs(node)), default=0)
        peak = max(peak, alive + inner)
        ended = {name for name in _touched(node) if name in made and last[name] == place}
        alive -= sum(found.get(name, 0) for name in ended - kept)
    return peak


def _touched(node: Any) -> Iterator[str]:
    """Values that a node makes or uses, those that its subgraphs use among them."""
    yield from node.output
    yield from node.input
    for graph in subgraphs(node):
        for inner in nodes_under(graph):
            yield from inner.input
        yield from (value.name for value in graph.output)
