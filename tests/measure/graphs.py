"""Graphs in ONNX text, run on arrays, for what is counted of them to be compared by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from edgepipe.measure.counts import multiplied
from edgepipe.measure.operations import Operations
from edgepipe.measure.trace import Traced, trace

Arrays = Mapping[str, np.ndarray]
HEAD = '<ir_version: 10, opset_import: ["" : 23, "com.microsoft" : 1, "own" : 1]>\n'


def zeros(*shape: int, kind: str = "float32") -> np.ndarray:
    return np.zeros(shape, kind)


def saved(path: Path, text: str, weights: Arrays | None = None) -> Path:
    """A graph without its head, with ``weights`` as initializers."""
    model = onnx.parser.parse_model(HEAD + text)
    tensors = (numpy_helper.from_array(array, name) for name, array in (weights or {}).items())
    model.graph.initializer.extend(tensors)
    onnx.save(model, path)
    return path


def traced(path: Path, feed: Arrays) -> Traced:
    return trace(path, [feed])


def multiplies(path: Path, feed: Arrays) -> tuple[Operations, tuple[str, ...]]:
    found = traced(path, feed)
    return multiplied(found, found.runs[0])
