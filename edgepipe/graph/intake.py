"""Foreign ONNX files: whether they are text classifiers that edgepipe can feed and read."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from edgepipe.errors import StageError
from edgepipe.graph import session, store

_KNOWN = ("input_ids", "attention_mask", "token_type_ids")
_LIKELY = ("model.onnx", "onnx/model.onnx")


def find(place: Path) -> Path:
    """The ONNX file at ``place``: itself, a folder's ``model.onnx``, or the only one there is."""
    if place.is_file():
        return place
    for name in _LIKELY:
        if (place / name).is_file():
            return place / name
    found = sorted(place.rglob("*.onnx"))
    if len(found) != 1:
        names = ", ".join(path.relative_to(place).as_posix() for path in found) or "none"
        raise StageError(f"{place} has to hold one ONNX file to be clear; found: {names}")
    return found[0]


def accept(path: Path, labels: int) -> ir.Model:
    """The graph at ``path``, a valid one that onnxruntime loads and that gives a logit a label.

    Inputs ``input_ids`` and possibly ``attention_mask`` and ``token_type_ids``, int64, batch and
    sequence free; first output, or the one named ``logits``, ``[batch, labels]``. Raises
    StageError.
    """
    graph = store.read(path)
    store.check(path)
    _check_inputs(path, graph)
    _check_output(path, graph, labels)
    session.open_session(path)
    return graph


def opset(graph: ir.Model) -> int:
    """The version of ONNX's own operators."""
    return int(graph.opset_imports.get("", 0))


def _check_inputs(path: Path, graph: ir.Model) -> None:
    names, _ = store.signature(graph)
    unknown = [name for name in names if name not in _KNOWN]
    if unknown or _KNOWN[0] not in names:
        raise StageError(f"{path} takes {', '.join(names)}; known are {', '.join(_KNOWN)}")
    for value in graph.graph.inputs:
        shape = store.dimensions(value)
        if value.dtype != ir.DataType.INT64:
            raise StageError(f"{path} takes {value.name} as {value.dtype}; the runtime feeds int64")
        if len(shape) != 2 or any(isinstance(size, int) for size in shape):  # noqa: PLR2004
            raise StageError(
                f"{path} takes {value.name} in the fixed shape {list(shape)}; export it again with "
                "free batch and sequence axes"
            )


def _check_output(path: Path, graph: ir.Model, labels: int) -> None:
    outputs = {value.name: store.dimensions(value) for value in graph.graph.outputs}
    name = "logits" if "logits" in outputs else next(iter(outputs), None)
    shape = outputs.get(name, ())
    if len(shape) != 2:  # noqa: PLR2004
        raise StageError(f"{path} gives {name} in shape {list(shape)}, not [batch, labels]")
    if isinstance(shape[1], int) and shape[1] != labels:
        raise StageError(f"{path} gives {shape[1]} logits, and there are {labels} labels")
