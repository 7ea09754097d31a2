"""The fusions of ``transformers.exporters``, as a graph transform beside those of ``graph``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

from edgepipe.errors import StageError
from edgepipe.graph import store
from edgepipe.graph.quiet import silenced
from edgepipe.graph.transforms import TRANSFORMS, Refused, Rewritten, Transform, fused

Target = Literal["cpu", "cuda"]


def ort_fusions(source: Path, target: Target = "cpu") -> Rewritten | Refused:
    """Attention, norms and activations fused into onnxruntime's own operators for ``target``."""
    graph = store.read(source)
    with silenced():
        from transformers.exporters import onnxruntime_fusions

        fuse: Any = onnxruntime_fusions.fuse_for_onnxruntime
        try:
            fuse(graph, target)
        except Exception as error:  # pattern code: any graph may break it in its own way
            raise StageError(f"transformers' fusions fail on {source}: {error!r}") from error
    return fused(graph)


def transforms(target: Target) -> dict[str, Transform]:
    """Every transform by name; ``ort-fusions`` for the device that is to run it."""
    return {**TRANSFORMS, "ort-fusions": partial(ort_fusions, target=target)}
