"""Checkpoint and Dataset to smaller Checkpoint: fewer layers that answer as the teacher does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgepipe.artifacts import Checkpoint, Dataset
from edgepipe.errors import StageError
from edgepipe.stage import Stage, Work
from edgepipe.training.settings import Distillation

if TYPE_CHECKING:
    from edgepipe.training.classification import Trained


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A fine-tuned model, and the data to imitate it on."""

    teacher: Checkpoint
    data: Dataset


class Distill(Distillation, Stage[Inputs, Checkpoint]):
    """Train a student that starts from some of its teacher's layers."""

    inputs = Inputs
    makes = Checkpoint
    tools = ("torch", "transformers", "tokenizers")
    depends = frozenset({"seed", "device"})

    def requires(self, inputs: Inputs) -> None:
        """Teacher and data speak of the same labels, and some loss has a weight."""
        if inputs.teacher.labels != inputs.data.labels:
            raise StageError(
                f"the teacher answers {', '.join(inputs.teacher.labels)}, and the data is labelled "
                f"{', '.join(inputs.data.labels)}; they have to be the same, in the same order"
            )
        if not (self.logit_weight or self.label_weight):
            raise StageError("logit_weight and label_weight are both 0: no answer would be learned")
        inputs.data.file("train")
        inputs.data.file("validation")

    def run(self, inputs: Inputs, into: Path, work: Work) -> Checkpoint:
        """Distil, and write the student's four files."""
        trained = self._distil(inputs, work)
        trained.save(into)
        return Checkpoint(
            path=into,
            task=inputs.teacher.task,
            labels=inputs.teacher.labels,
            max_length=trained.max_length,
            model_type=trained.model.config.model_type,
            parameters=trained.parameters,
            provenance=inputs.teacher.provenance,
            notes=dict(trained.notes),
        )

    def _distil(self, inputs: Inputs, work: Work) -> Trained:
        from edgepipe.training.classification import Corpus
        from edgepipe.training.device import torch_device
        from edgepipe.training.distillation import distill
        from edgepipe.training.loop import Run

        corpus = Corpus(
            train=inputs.data.file("train"),
            validation=inputs.data.file("validation"),
            labels=inputs.data.labels,
            counts=inputs.data.splits["train"].label_counts,
        )
        run = Run(
            folder=work.path,
            seed=work.seed,
            device=torch_device(work.device),
            progress=work.progress,
        )
        return distill(inputs.teacher.path, corpus, self, inputs.teacher.max_length, run)
