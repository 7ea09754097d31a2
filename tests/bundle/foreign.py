"""Bundles around ONNX files that their makers, honest or not, wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from tests.runtime.tiny_onnx import Tiny, records, write_bundle

FILE = "onnx/model.onnx"
DATA = "model.onnx_data"


def bundle(
    folder: Path, model: onnx.ModelProto | bytes, data: Mapping[str, bytes] | None = None
) -> Path:
    """A bundle of one graph, with files of ``data`` beside it."""
    write_bundle(folder, Tiny(), provenance={"source": "tests"})
    content = model if isinstance(model, bytes) else model.SerializeToString()
    (folder / FILE).write_bytes(content)
    for name, values in (data or {}).items():
        (folder / "onnx" / name).write_bytes(values)
    return listed(folder)


def listed(folder: Path, **changes: Any) -> Path:
    """The same bundle, its manifest naming every file there is; ``changes`` replace its fields."""
    path = folder / "edgepipe.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "files": records(folder), **changes}))
    return folder


def model(
    nodes: Sequence[NodeProto] | None = None,
    tensors: Sequence[TensorProto] = (),
    functions: Sequence[onnx.FunctionProto] = (),
    *,
    axis: int | str = "n",
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """``y = Relu(x)``, or another graph from ``x`` to ``y``."""
    graph = helper.make_graph(
        nodes or [helper.make_node("Relu", ["x"], ["y"], name="first")],
        "foreign",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [axis, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        tensors,
    )
    opsets = [helper.make_opsetid("", 21), *(helper.make_opsetid(name, 1) for name in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=functions)


def external(name: str, dims: Sequence[int], **entries: object) -> TensorProto:
    """A float32 tensor that lies in another file."""
    made = TensorProto(
        name=name, data_type=TensorProto.FLOAT, dims=dims, data_location=TensorProto.EXTERNAL
    )
    for key, value in entries.items():
        made.external_data.add(key=key, value=str(value))
    return made


def array(name: str, *shape: int) -> TensorProto:
    return numpy_helper.from_array(np.zeros(shape, np.float32), name)
