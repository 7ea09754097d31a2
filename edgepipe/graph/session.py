"""Plain onnxruntime sessions on the CPU, for checks while a model is being made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edgepipe.errors import StageError

Feed = Mapping[str, NDArray[np.int64]]
Level = Literal["disable", "basic", "extended", "all"]
_ERRORS_ONLY = 3


def options(level: Level = "all", *, threads: int = 1) -> Any:
    """SessionOptions that log errors only."""
    made = ort.SessionOptions()
    made.log_severity_level = _ERRORS_ONLY
    made.intra_op_num_threads = threads
    made.graph_optimization_level = {
        "disable": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
        "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
        "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
        "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    }[level]
    return made


def open_session(path: Path, level: Level = "all") -> Any:
    """A session of one thread on the CPU; StageError when onnxruntime refuses the graph."""
    try:
        return ort.InferenceSession(path, options(level), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen unrelated types
        raise StageError(f"onnxruntime cannot load {path}: {error}") from error


def logits(session: Any, feed: Feed) -> NDArray[np.float32]:
    """The first output for ``feed``, float32; StageError when the graph fails on it."""
    try:
        first = session.run(None, dict(feed))[0]
    except Exception as error:  # as above
        shapes = {name: value.shape for name, value in feed.items()}
        raise StageError(f"onnxruntime failed on inputs of shapes {shapes}: {error}") from error
    return np.asarray(first, dtype=np.float32)
