"""Dataset to Checkpoint: fine-tune a base model, or train one from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Discriminator, Tag

from edgepipe.artifacts import Checkpoint, Dataset, Provenance
from edgepipe.errors import StageError
from edgepipe.sources import Source
from edgepipe.stage import Stage, Work
from edgepipe.training.settings import FineTuning, ModelTable

if TYPE_CHECKING:
    from edgepipe.training.classification import Corpus

_TASK = "text-classification"
_FEWEST_LABELS = 2


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Labelled texts with a training and a validation split."""

    data: Dataset


def _form(value: Any) -> str:
    return "table" if isinstance(value, dict | ModelTable) else "source"


class Train(FineTuning, Stage[Inputs, Checkpoint]):
    """Fine-tune any Hugging Face encoder with AdamW; keep the epoch that validates best."""

    inputs = Inputs
    makes = Checkpoint
    tools = ("torch", "transformers", "tokenizers")
    depends = frozenset({"seed", "device"})

    model: Annotated[
        Annotated[Source, Tag("source")] | Annotated[ModelTable, Tag("table")],
        Discriminator(_form),
    ]
    """A Hugging Face folder, or a table with ``model_type`` and settings for a model from
    scratch."""

    def requires(self, inputs: Inputs) -> None:
        """There are two labels or more, and both splits."""
        if len(inputs.data.labels) < _FEWEST_LABELS:
            raise StageError(
                f"text classification needs two labels or more; the data has {inputs.data.labels}"
            )
        inputs.data.file("train")
        inputs.data.file("validation")

    def run(self, inputs: Inputs, into: Path, work: Work) -> Checkpoint:
        """Train, and write the checkpoint's four files."""
        from edgepipe.training.device import torch_device
        from edgepipe.training.finetune import finetune
        from edgepipe.training.loop import Run

        base = self.model.locate() if isinstance(self.model, Source) else self.model
        run = Run(
            folder=work.path,
            seed=work.seed,
            device=torch_device(work.device),
            progress=work.progress,
        )
        trained = finetune(base, _corpus(inputs.data), self, run)
        trained.save(into)
        return Checkpoint(
            path=into,
            task=_TASK,
            labels=inputs.data.labels,
            max_length=trained.max_length,
            model_type=trained.model.config.model_type,
            parameters=trained.parameters,
            provenance=self._provenance(base),
            notes=dict(trained.notes),
        )

    def _provenance(self, base: Path | ModelTable) -> Provenance:
        from edgepipe.training.origin import provenance

        if isinstance(base, Path):
            return provenance(str(self.model), base)
        return Provenance(source=f"{base.model_type} from scratch")


def _corpus(data: Dataset) -> Corpus:
    from edgepipe.training.classification import Corpus

    return Corpus(
        train=data.file("train"),
        validation=data.file("validation"),
        labels=data.labels,
        counts=data.splits["train"].label_counts,
    )
