"""A pipeline, read and checked: steps with typed settings and wires, and the gates over them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgepipe.pipeline.gate import Gate
from edgepipe.pipeline.graph import Step
from edgepipe.pipeline.settings import RunSettings


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """What a pipeline file says. ``text`` is the file itself, for the report."""

    name: str
    task: str
    file: Path
    text: str
    run: RunSettings
    steps: tuple[Step, ...]
    gates: tuple[Gate, ...]
