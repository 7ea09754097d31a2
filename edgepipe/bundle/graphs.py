"""What the graphs of an ONNX file are made of, and whether that is within bounds.

Nothing is run and no weights are read. Bounds are far above what a transformer needs (BERT-base
has under 2,000 nodes, 3 subgraphs deep at most), and far below what hurts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from edgepipe.bundle import tensors

MAX_NODES = 100_000
"""With every model-local function put in place of its calls, as onnxruntime does."""
MAX_TENSORS = 100_000
MAX_DEPTH = 8
"""Of subgraphs in subgraphs."""
MAX_CALLS = 32
"""Of functions that call functions."""
MAX_NAME = 1024
MAX_AXIS = 2**31 - 1
DOMAINS = {
    "": "the standard operators",
    "ai.onnx": "the standard operators, by their other name",
    "ai.onnx.ml": "classifiers and vectorizers of the standard: arithmetic on their inputs",
    "com.microsoft": "built into onnxruntime: what its quantizer and its fusions write",
}
"""Operators that are in every onnxruntime. Others need a library, which a bundle cannot bring.

Among those left out: ``com.microsoft.nchwc`` and ``com.ms.internal.nhwc`` are layouts for the one
machine that saved them, ``ai.onnx.contrib`` and ``org.pytorch.aten`` are libraries.
"""
REFUSED = {
    "EPContext": "loads a compiled program, from a file if it likes",
    "Snpe": "loads a compiled program",
    "PythonOp": "runs Python",
    "PythonOpGrad": "runs Python",
    "TritonOp": "runs Python",
    "ExternalGradient": "runs code from outside the graph",
}
"""Operators of ``com.microsoft`` that some builds of onnxruntime have, and no bundle needs."""
_FORBIDDEN = {"SparseTensorProto": "a sparse tensor", "TrainingInfoProto": "training information"}
_SHOWN = 16
_Key = tuple[str, str, str]


class GraphSummary(BaseModel):
    """What a person wants to know about one ONNX file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    ir_version: int
    producer: str
    opsets: dict[str, int]
    functions: int
    nodes: int
    operators: dict[str, int]
    """Counts, the most frequent first."""
    parameters: int
    inputs: dict[str, str]
    """Name to type and shape, like ``int64[batch, sequence]``."""
    outputs: dict[str, str]


def problems(model: Any) -> Iterator[str]:
    """What is wrong with a ModelProto's graphs and functions, a line each."""
    functions = {_key(function): function for function in model.functions}
    if not model.HasField("graph") or not model.graph.output:
        yield "the file holds no graph with outputs"
    yield from _function_problems(model, functions)
    yield from _size_problems(model, functions)
    yield from _part_problems(model)
    for holder in (model.graph, *model.functions):
        for node, depth in _nodes(holder):
            yield from _node_problems(node, depth, functions)


def summary(model: Any) -> GraphSummary:
    """What a ModelProto is, as far as it says so without being run."""
    counts = Counter(
        f"{node.domain}.{node.op_type}" if _named(node.domain) else str(node.op_type)
        for holder in (model.graph, *model.functions)
        for node, _ in _nodes(holder)
    )
    return GraphSummary(
        ir_version=int(model.ir_version),
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        opsets={str(o.domain) or "ai.onnx": int(o.version) for o in model.opset_import},
        functions=len(model.functions),
        nodes=counts.total(),
        operators=dict(counts.most_common()),
        parameters=tensors.count(model.graph.initializer),
        inputs={str(value.name): _type_text(value.type) for value in model.graph.input},
        outputs={str(value.name): _type_text(value.type) for value in model.graph.output},
    )


def _key(item: Any) -> _Key:
    """What a call and its function have in common."""
    name = item.op_type if hasattr(item, "op_type") else item.name
    return _named(item.domain), str(name), str(item.overload)


def _named(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _nodes(holder: Any, depth: int = 0) -> Iterator[tuple[Any, int]]:
    """Nodes of a graph or function, subgraphs included, and how deep each is.

    protobuf itself reads nothing deeper than about thirty subgraphs.
    """
    for node in holder.node:
        yield node, depth
        for attribute in node.attribute:
            for graph in (*_one(attribute, "g"), *attribute.graphs):
                yield from _nodes(graph, depth + 1)


def _one(message: Any, field: str) -> Sequence[Any]:
    return (getattr(message, field),) if message.HasField(field) else ()


def _place(node: Any) -> str:
    named = node.name or next(iter(node.output), "")
    return f"node {named!r:.120} ({node.op_type!r:.80})"


def _node_problems(node: Any, depth: int, functions: Mapping[_Key, Any]) -> Iterator[str]:
    if depth > MAX_DEPTH:
        yield f"{_place(node)} is {depth} subgraphs deep; {MAX_DEPTH} are allowed"
    domain = str(node.domain)
    if domain not in DOMAINS and _key(node) not in functions:
        yield f"{_place(node)} is of the domain {domain!r:.80}, which nothing here brings"
    if domain == "com.microsoft" and node.op_type in REFUSED:
        yield f"{_place(node)} {REFUSED[node.op_type]}"
    names = (node.name, node.op_type, domain, *node.input, *node.output)
    if any(len(name) > MAX_NAME for name in (*names, *(a.name for a in node.attribute))):
        yield f"{_place(node)} has a name of more than {MAX_NAME} characters"


def _function_problems(model: Any, functions: Mapping[_Key, Any]) -> Iterator[str]:
    if len(functions) < len(model.functions):
        yield "two model-local functions have one name"
    for domain, name, _ in functions:
        if domain in DOMAINS:
            yield f"the function {name!r:.120} stands in for operators of the domain {domain!r}"
        if len(name) > MAX_NAME or len(domain) > MAX_NAME:
            yield f"the function {name!r:.120} has a name of more than {MAX_NAME} characters"


def _part_problems(model: Any) -> Iterator[str]:
    """Parts that no exporter of transformers writes and few readers check, and impossible axes."""
    told = set()
    for part in _parts(model):
        kind = part.DESCRIPTOR.name
        if kind in _FORBIDDEN and kind not in told:
            told.add(kind)
            yield f"the file holds {_FORBIDDEN[kind]}"
        if kind == "ValueInfoProto":
            yield from _axis_problems(part)
        if not _is_text(part):
            yield f"the file holds a {kind} with text that is not UTF-8"


def _parts(message: Any) -> Iterator[Any]:
    """``message`` and every message below it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for inner in value if isinstance(value, Sequence) else (value,):
            yield from _parts(inner)


def _is_text(part: Any) -> bool:
    """Whether its fields of text are; protobuf hands out those that are not as bytes."""
    for field, value in part.ListFields():
        if field.type == field.TYPE_STRING:
            texts = (value,) if isinstance(value, str | bytes) else value
            if any(isinstance(text, bytes) for text in texts):
                return False
    return True


def _axis_problems(value: Any) -> Iterator[str]:
    sizes = (axis.dim_value for axis in value.type.tensor_type.shape.dim)
    wrong = [size for size in sizes if not 0 <= size <= MAX_AXIS]
    if wrong:
        yield f"value {value.name!r:.120} has an axis of {wrong[0]}"


def _size_problems(model: Any, functions: Mapping[_Key, Any]) -> Iterator[str]:
    try:
        nodes, _ = _expanded(model.graph, functions, {}, 0)
    except _TooDeepError:
        yield f"model-local functions call each other more than {MAX_CALLS} deep, or in a circle"
        return
    if nodes > MAX_NODES:
        yield f"the graph comes to {nodes:.4g} nodes; {MAX_NODES} are allowed"


class _TooDeepError(ValueError):
    pass


def _expanded(
    holder: Any, functions: Mapping[_Key, Any], known: dict[_Key, tuple[int, int]], calls: int
) -> tuple[int, int]:
    """Nodes with all functions put in place of their calls, and how deep these calls go.

    ``known`` holds both for each function met before, ``calls`` how deep the holder itself is.
    """
    nodes = depth = 0
    for node, _ in _nodes(holder):
        nodes += 1
        key = _key(node)
        if key not in functions:
            continue
        if calls >= MAX_CALLS:
            raise _TooDeepError
        if key not in known:
            known[key] = _expanded(functions[key], functions, known, calls + 1)
        inside, below = known[key]
        nodes, depth = nodes + inside, max(depth, 1 + below)
    if calls + depth > MAX_CALLS:
        raise _TooDeepError
    return nodes, depth


def _type_text(kind: Any) -> str:
    if not kind.HasField("tensor_type"):
        return str(kind.WhichOneof("value"))
    import onnx

    tensor = kind.tensor_type
    names = {number: name for name, number in onnx.TensorProto.DataType.items()}
    shape = ", ".join(
        str(axis.dim_value) if axis.HasField("dim_value") else axis.dim_param or "?"
        for axis in tensor.shape.dim[:_SHOWN]
    )
    return f"{names.get(tensor.elem_type, '?').lower()}[{shape}]"
