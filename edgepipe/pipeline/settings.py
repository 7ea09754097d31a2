"""The ``[run]`` table: what holds for every step of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from edgepipe.stage import Device


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    base: Path = (info.context or {}).get("base", Path())
    return base / path.expanduser()


class RunSettings(BaseModel):
    """Seed, device, threads and baseline of a run."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Of splits, initial weights, batch order, dropout and samples."""
    device: Device = "cpu"
    """Where steps train and measure; the device asked for, or an error."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Threads of every measurement, and of the session that the bundle suggests."""
    baseline: Annotated[Path, AfterValidator(_beside_the_file)] | None = None
    """What gates ``against = "baseline"`` compare with: the report of an earlier run, or a folder
    of them, of which the newest is taken; for clocks the newest of the same machine."""
