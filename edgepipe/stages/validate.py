"""Models and Dataset to Report: how accurate each model is, and what it lost to the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from edgepipe.artifacts import Checkpoint, Dataset, OnnxModel, Report, Split
from edgepipe.errors import StageError
from edgepipe.stage import Device, Named, Stage, Work

if TYPE_CHECKING:
    from edgepipe.measure.accuracy import Answered, Predict
    from edgepipe.measure.records import ValidationReport

Model = Checkpoint | OnnxModel
_CHUNK = 1024


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The model to hold on to, the models made of it, and the data to ask them about."""

    reference: Checkpoint | OnnxModel
    candidates: Named[Checkpoint | OnnxModel]
    data: Dataset


class Validate(Stage[Inputs, Report]):
    """Ask every model about every text of a split; compare the candidates with the reference.

    Checkpoints are answered by torch in float32, ONNX models by the runtime, such that no answer
    depends on its batch mates. Memory does not grow with the length of the data's texts.
    """

    inputs = Inputs
    makes = Report
    tools = (
        "numpy",
        "onnxruntime",
        "scikit-learn",
        "scipy",
        "tokenizers",
        "torch",
        "transformers",
    )
    depends = frozenset({"seed", "device"})

    split: Split = "test"
    """The test split should be read once, by the last validate of a pipeline."""
    resamples: Annotated[int, Field(ge=99, le=1_000_000)] = 9999
    """Of the bootstrap."""

    def requires(self, inputs: Inputs) -> None:
        """The split has texts, and every model answers with exactly the data's labels."""
        _require_comparable(inputs.reference, inputs.candidates, inputs.data, self.split)

    def run(self, inputs: Inputs, into: Path, work: Work) -> Report:
        """Write ``report.json``, a ``ValidationReport``."""
        from edgepipe.measure.records import REPORT

        self._report(inputs, work).write(into / REPORT)
        return Report(path=into, content="validation")

    def _report(self, inputs: Inputs, work: Work) -> ValidationReport:
        import numpy as np

        from edgepipe.measure.accuracy import Bootstrap, compare, figures
        from edgepipe.measure.records import REFERENCE, ValidationReport
        from edgepipe.measure.texts import examples

        data = inputs.data
        truth = np.array([e.label for e in examples(data, self.split)], np.int64)
        reference = self._ask(REFERENCE, inputs.reference, data, work)
        candidates = [
            self._ask(name, model, data, work) for name, model in inputs.candidates.items()
        ]
        drawn = Bootstrap(self.resamples, work.seed)
        return ValidationReport(
            data=data.digest,
            split=self.split,
            labels=data.labels,
            examples=len(truth),
            seed=work.seed,
            resamples=self.resamples,
            reference=figures(reference, truth),
            candidates=tuple(figures(candidate, truth) for candidate in candidates),
            comparisons=tuple(
                compare(candidate, reference, truth, examples(data, self.split), drawn)
                for candidate in candidates
            ),
        )

    def _ask(self, name: str, model: Model, data: Dataset, work: Work) -> Answered:
        """The model's answer to every text of the split, a chunk of texts at a time."""
        import numpy as np

        from edgepipe.measure.accuracy import Answered, answers, truncated
        from edgepipe.measure.models import device_of
        from edgepipe.measure.texts import chunks, examples

        indices, cut, rows = [], 0, data.splits[self.split].rows
        device = device_of(model, work.device)
        with _predictor(model, device) as predict:
            for number, chunk in enumerate(chunks(examples(data, self.split), _CHUNK)):
                work.progress(number * _CHUNK, rows, f"{name} answers")
                texts = [example.text for example in chunk]
                indices.append(answers(predict, texts, labels=len(data.labels), name=name))
                cut += truncated(model.path / "tokenizer.json", texts, model.max_length)
        return Answered(
            name=name,
            artifact=model,
            device=device,
            indices=np.concatenate(indices),
            truncated=cut,
        )


def _require_comparable(
    reference: Model, candidates: Mapping[str, Model], data: Dataset, split: Split
) -> None:
    """Raise StageError when the split is absent or empty, or when any model has other labels."""
    data.file(split)
    if not data.splits[split].rows:
        raise StageError(f"the {split} split of the dataset is empty")
    if not candidates:
        raise StageError("there are no candidates to compare with the reference")
    for name, model in (("the reference", reference), *candidates.items()):
        if model.labels != data.labels:
            raise StageError(
                f"{name} answers with the labels {', '.join(model.labels)}, but the data has "
                f"{', '.join(data.labels)}; they have to be the same, in the same order"
            )


@contextmanager
def _predictor(model: Model, device: Device) -> Iterator[Predict]:
    """Texts to logits: by torch for a checkpoint, by the runtime for ONNX; on every core."""
    if isinstance(model, Checkpoint):
        from edgepipe.training import predict

        yield lambda texts: predict.logits(
            model.path, texts, max_length=model.max_length, device=device
        )
        return
    from edgepipe import runtime

    with runtime.load(model.path, device=device) as classifier:
        yield lambda texts: classifier.logits(texts, exact=True)
