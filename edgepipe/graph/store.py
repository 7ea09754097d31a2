"""Graphs on disk: one file while protobuf allows it, external data beside it above that."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import onnx_ir as ir

from edgepipe import disk
from edgepipe.errors import StageError

ONE_FILE_LIMIT = 2_000_000_000
"""Bytes of weights that stay in the ``.onnx`` file. Protobuf ends at 2**31 - 1, nodes included."""


def read(path: Path) -> ir.Model:
    """The graph at ``path``; weights in external data are read when they are used.

    Raises StageError when the file is missing, cut short, or not an ONNX graph.
    """
    if not path.is_file():
        raise StageError(f"there is no ONNX file {path}")
    try:
        return ir.load(path)
    except Exception as error:  # protobuf, onnx-ir and the file system each raise their own
        raise StageError(
            f"{path} is not a readable ONNX file (cut short?): {_line(error)}"
        ) from error


def write(model: ir.Model, path: Path, *, limit: int = ONE_FILE_LIMIT) -> None:
    """``path`` holds ``model``; above ``limit`` bytes the weights lie beside it as ``NAME_data``.

    Equal models give equal bytes. ``path`` has to lie in a scratch folder: a kill while writing
    leaves half a file.
    """
    external = f"{path.name}_data" if weight_bytes(model) > limit else None
    with disk.translated("write", path):
        if external is None:  # else a graph read from two files would go on naming the second
            model = ir.external_data.load_to_model(model)
        ir.save(model, path, external_data=external)


def files(path: Path) -> list[Path]:
    """The graph file and, where it has some, its external data."""
    data = path.with_name(f"{path.name}_data")
    return [path, data] if data.is_file() else [path]


def copy(source: Path, target: Path) -> None:
    """``target`` is the graph of ``source``, external data included; both have the same name."""
    for file in files(source):
        disk.copy_file(file, target.with_name(file.name))


def weight_bytes(model: ir.Model) -> int:
    """Bytes of all initializers."""
    values = model.graph.initializers.values()
    return sum(value.const_value.nbytes for value in values if value.const_value is not None)


def file_bytes(path: Path) -> int:
    """Bytes on disk of a graph, external data included."""
    return sum(disk.size(file) for file in files(path))


def is_external(model: ir.Model) -> bool:
    """Whether any weight lies in another file."""
    weights = (value.const_value for value in model.graph.initializers.values())
    return any(isinstance(weight, ir.ExternalTensor) for weight in weights)


def op_counts(model: ir.Model) -> dict[str, int]:
    """How often each operator occurs, subgraphs included, by name in sorted order."""
    return dict(sorted(Counter(node.op_type for node in model.graph.all_nodes()).items()))


def dimensions(value: ir.Value) -> tuple[int | str, ...]:
    """The shape of a value; symbolic axes by name, ``()`` where it is not known."""
    return tuple(dim if isinstance(dim, int) else str(dim.value) for dim in value.shape or ())


def signature(model: ir.Model) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the graph's inputs and outputs."""
    graph = model.graph
    return tuple(str(v.name) for v in graph.inputs), tuple(str(v.name) for v in graph.outputs)


def check(path: Path) -> None:
    """Raise StageError when ``onnx.checker`` refuses the file."""
    try:
        onnx.checker.check_model(str(path))
    except Exception as error:  # the checker raises ValidationError, protobuf errors and OSError
        raise StageError(f"{path} is not a valid ONNX graph: {_line(error)}") from error


def _line(error: Exception) -> str:
    """The first line of what a third party said."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
