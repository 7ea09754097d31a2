"""Outside folder to Checkpoint: a model that is fine-tuned already, checked and copied."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edgepipe.artifacts import Checkpoint
from edgepipe.sources import Source
from edgepipe.stage import Stage, Work


@dataclass(frozen=True)
class Inputs:
    """Nothing: the folder is outside."""


class ImportCheckpoint(Stage[Inputs, Checkpoint]):
    """Take over a fine-tuned text classifier from a Hugging Face folder.

    The model is loaded, which proves it whole, and written anew in float32 with its fast tokenizer:
    whatever else the folder holds stays behind.
    """

    inputs = Inputs
    makes = Checkpoint
    tools = ("torch", "transformers", "tokenizers")

    model: Source
    """A folder with config.json, safetensors weights and a tokenizer."""
    max_length: Annotated[int, Field(ge=8)] | Literal["auto"] = "auto"
    """Tokens; ``auto``: what model and tokenizer allow, at most 512."""

    def run(self, inputs: Inputs, into: Path, work: Work) -> Checkpoint:  # noqa: ARG002
        """Load, check, and write the checkpoint's four files."""
        from edgepipe.training.imported import load_finetuned
        from edgepipe.training.origin import provenance

        folder = self.model.locate()
        trained = load_finetuned(folder, self.max_length)
        trained.save(into)
        return Checkpoint(
            path=into,
            task="text-classification",
            labels=trained.labels,
            max_length=trained.max_length,
            model_type=trained.model.config.model_type,
            parameters=trained.parameters,
            provenance=provenance(str(self.model), folder),
        )
