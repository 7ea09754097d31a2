"""The stages, by the name a pipeline file uses. Nothing is imported until it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

from edgepipe.stage import Stage

STAGES = {
    "data": "edgepipe.stages.data:Data",
    "texts": "edgepipe.stages.texts:ImportTexts",
    "checkpoint": "edgepipe.stages.checkpoint:ImportCheckpoint",
    "onnx": "edgepipe.stages.onnx:ImportOnnx",
    "train": "edgepipe.stages.train:Train",
    "distill": "edgepipe.stages.distill:Distill",
    "export": "edgepipe.stages.export:Export",
    "optimize": "edgepipe.stages.optimize:Optimize",
    "quantize": "edgepipe.stages.quantize:Quantize",
    "validate": "edgepipe.stages.validate:Validate",
    "benchmark": "edgepipe.stages.benchmark:Benchmark",
    "count": "edgepipe.stages.count:Count",
    "package": "edgepipe.stages.package:Package",
}


def stage_class(use: str) -> type[Stage[Any, Any]]:
    """The class behind a name of ``STAGES``; KeyError for any other name."""
    module, _, name = STAGES[use].partition(":")
    found: type[Stage[Any, Any]] = getattr(importlib.import_module(module), name)
    return found
