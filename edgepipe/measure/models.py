"""What a model weighs, and where it runs."""

from __future__ import annotations

from typing import Literal

from edgepipe import disk
from edgepipe.artifacts import RECORD, Artifact, Checkpoint, OnnxModel

Model = Checkpoint | OnnxModel
Device = Literal["cpu", "cuda"]


def file_sizes(artifact: Artifact) -> dict[str, int]:
    """Bytes of every file of an artifact but its record, by name."""
    return {
        name.as_posix(): (artifact.path / name).stat().st_size
        for name in disk.files_under(artifact.path)
        if name.as_posix() != RECORD
    }


def device_of(model: Model, wanted: Device) -> Device:
    """``wanted``, or the CPU for int8: CUDA has no kernels for what ``quantize`` makes."""
    int8 = isinstance(model, OnnxModel) and model.precision == "int8"
    return "cpu" if int8 else wanted


def precision_of(model: Model) -> str:
    """Of the weights; a checkpoint is always trained and answered in float32."""
    return model.precision if isinstance(model, OnnxModel) else "fp32"
