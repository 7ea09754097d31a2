"""What a graph computes, watched while onnxruntime runs it once, node by node.

Shapes that ``onnx.shape_inference`` finds end at the first operator of onnxruntime's own domain,
and often at the first Reshape; and a session with every value as an output would hold all of them
at once. onnxruntime's profile tells types and shapes of what each node took and gave, of nodes in
subgraphs and every domain too, at the memory of an ordinary run. Optimizers are off, so that it
speaks of the nodes in the file; each is given a number for a name, since names may be missing or
used twice. Weights in external data stay where they are: onnxruntime reads them itself.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from edgepipe import disk
from edgepipe.errors import StageError
from edgepipe.measure.subject import Feed
from edgepipe.runtime.session import onnxruntime

_FATAL = 4
_MARK = re.compile(r"edgepipe(\d+)_")
_BYTES = {
    **dict.fromkeys(("bool", "int8", "uint8"), 1),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 2),
    **dict.fromkeys(("float", "int32", "uint32"), 4),
    **dict.fromkeys(("double", "int64", "uint64"), 8),
    **dict.fromkeys(("complex64",), 8),
    **dict.fromkeys(("complex128",), 16),
    "string": 32,
}
"""Of one element; the few types of less or other than these count as one."""


class Value(NamedTuple):
    """A tensor that went through a node."""

    kind: str
    """As onnxruntime writes it: ``float``, ``int8``, ``uint8``, …"""
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Of all elements."""
        return self.size * _BYTES.get(self.kind, 1)


@dataclass(frozen=True)
class Event:
    """One node, run once. Optional values that were left out are left out here too."""

    name: str
    """That the graph gives the node, or onnxruntime."""
    index: int
    """Its number in the graph that runs; subgraphs count from 0 again."""
    operator: str
    provider: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    @property
    def node(self) -> int | None:
        """Which node of ``Traced.nodes`` this is; None for one that onnxruntime has put in."""
        found = _MARK.search(self.name)
        return int(found[1]) if found else None


@dataclass(frozen=True)
class Traced:
    """A graph and what was seen of it."""

    model: Any
    """The ModelProto that ran: of the file, with functions in place of their calls."""
    nodes: tuple[Any, ...]
    """Its NodeProtos, subgraphs included, by number."""
    runs: tuple[tuple[Event, ...], ...]
    """One for each feed."""


def read_graph(file: Path) -> Any:
    """The ModelProto at ``file`` without its external data; StageError when it is unreadable."""
    try:
        model = onnx.load(file, load_external_data=False)
    except Exception as error:  # protobuf's and the file system's share no base
        raise StageError(f"{file} is not a readable ONNX file (cut short?): {error}") from error
    if not model.graph.node:
        raise StageError(f"{file} holds no graph with nodes")
    return model


def trace(file: Path, feeds: Sequence[Feed]) -> Traced:
    """What every node of the graph at ``file`` takes and gives, for each of ``feeds``.

    Raises StageError when the file is damaged, or onnxruntime cannot load it or run it on the CPU.
    """
    model = _inlined(file, read_graph(file))
    nodes = tuple(nodes_under(model.graph))
    for number, node in enumerate(nodes):
        node.name = f"edgepipe{number}_"
    with disk.translated("create a temporary folder in", Path(tempfile.gettempdir())):
        scratch = tempfile.TemporaryDirectory(prefix="edgepipe-trace-")
    with scratch:
        session = _session(file, model, Path(scratch.name) / "trace")
        for feed in feeds:
            _run(file, session, feed)
        events = recorded(session)
    return Traced(model, nodes, events)


def recorded(session: Any) -> tuple[tuple[Event, ...], ...]:
    """The nodes that a profiled session has run, for each of its runs; its profile ends here."""
    path = Path(session.end_profiling())
    told = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    path.unlink()
    runs: list[tuple[Event, ...]] = []
    nodes: list[Event] = []
    for event in told:
        if event.get("name") == "model_run":
            runs.append(tuple(nodes))
            nodes = []
        elif event.get("cat") == "Node" and "op_name" in event.get("args", {}):
            nodes.append(_event(event))
    return tuple(runs)


def nodes_under(graph: Any) -> Iterator[Any]:
    """The nodes of a GraphProto or FunctionProto in file order, each before its subgraphs'."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from nodes_under(inner)


def subgraphs(node: Any) -> Iterator[Any]:
    """The GraphProtos that a node holds."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _event(event: dict[str, Any]) -> Event:
    told = event["args"]
    return Event(
        name=str(event["name"]).removesuffix("_kernel_time"),
        index=int(told.get("node_index", 0)),
        operator=str(told["op_name"]),
        provider=str(told.get("provider", "")),
        inputs=_values(told.get("input_type_shape", ())),
        outputs=_values(told.get("output_type_shape", ())),
    )


def _values(told: Sequence[dict[str, list[int]]]) -> tuple[Value, ...]:
    return tuple(Value(kind, tuple(shape)) for one in told for kind, shape in one.items())


def _inlined(file: Path, model: Any) -> Any:
    """``model`` with its own functions in place of their calls, as onnxruntime does it."""
    if not model.functions:
        return model
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # C++ raises what it likes
        raise StageError(f"{file}: its functions cannot be put in place: {error}") from error


def _session(file: Path, model: Any, prefix: Path) -> Any:
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling = True
    options.profile_file_prefix = str(prefix)
    entries = {
        "session.disable_prepacking": "1",  # packed weights vanish from the profile
        "session.model_external_initializers_file_folder_path": str(file.parent),
    }
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    try:
        return ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises a dozen unrelated types
        raise StageError(f"onnxruntime cannot load {file}: {_line(error)}") from error


def _run(file: Path, session: Any, feed: Feed) -> None:
    try:
        session.run(None, dict(feed))
    except Exception as error:  # as above
        shapes = {name: value.shape for name, value in feed.items()}
        raise StageError(f"{file} failed on inputs of shapes {shapes}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
