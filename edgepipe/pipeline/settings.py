"""The ``[run]`` table: what holds for every step of a run."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from edgepipe.stage import Device


class RunSettings(BaseModel):
    """Seed, device and threads of a run."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Of splits, initial weights, batch order, dropout and samples."""
    device: Device = "cpu"
    """Where steps train and measure; the device asked for, or an error."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Threads of every measurement, and of the session that the bundle suggests."""
