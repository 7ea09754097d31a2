"""Models and Dataset to Report: how accurate each model is, and what it lost to the reference."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator

from edgepipe import disk
from edgepipe.artifacts import Checkpoint, Dataset, OnnxModel, Report, Split, Texts
from edgepipe.errors import StageError
from edgepipe.stage import Device, Named, Stage, Work

if TYPE_CHECKING:
    from edgepipe.measure.answers import Answered, Arm, Floats, Questions
    from edgepipe.measure.attribution import Explained
    from edgepipe.measure.logits import Logits, Predict
    from edgepipe.measure.records import ValidationReport

Model = Checkpoint | OnnxModel
_SCRATCH = "logits-"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The model to hold on to, the models made of it, and the data to ask them about."""

    reference: Checkpoint | OnnxModel
    candidates: Named[Checkpoint | OnnxModel]
    data: Dataset
    unlabelled: Texts | None = None
    """More texts, without labels: how often are they answered alike?"""


class Validate(Stage[Inputs, Report]):
    """Ask every model about every text of a split; compare the candidates with the reference.

    Checkpoints are answered by torch in float32, ONNX models by the runtime, such that no answer
    depends on its batch mates. Logits go to the disk, so that they take no memory, however many
    texts and labels there are.
    """

    inputs = Inputs
    makes = Report
    tools = (
        "captum",
        "numpy",
        "onnxruntime",
        "scikit-learn",
        "tokenizers",
        "torch",
        "transformers",
    )
    depends = frozenset({"seed", "device", "cpu"})
    """int8 products round otherwise on CPUs without VNNI, and answers with them."""

    split: Split = "test"
    """The test split should be read once, by the last validate of a pipeline."""
    slices: tuple[str, ...] = ("length", "label")
    """Parts to compare one by one: ``length`` (up to four ranges of the reference's tokens),
    ``label``, or a column that the data step keeps (its 20 most frequent values, then the rest)."""
    explain: Annotated[int, Field(ge=0, le=10_000)] = 32
    """Texts whose words are weighed, reference against candidate, by leaving each out; 0: none."""
    resamples: Annotated[int, Field(ge=99, le=1_000_000)] = 9999
    """Of the bootstrap. That of macro-F1 takes time with the labels and the ways to err: none with
    two labels, a few seconds with 150 of them and 10,000 texts."""

    @field_validator("slices")
    @classmethod
    def _no_slice_twice(cls, slices: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(slices)) != len(slices):
            raise ValueError(f"names slices twice: {', '.join(slices)}")
        return slices

    def requires(self, inputs: Inputs) -> None:
        """The split has texts and the columns to cut it by, and all answer with its labels."""
        _require_comparable(inputs.reference, inputs.candidates, inputs.data, self.split)
        _require_columns(self.slices, inputs.data)

    def run(self, inputs: Inputs, into: Path, work: Work) -> Report:
        """Write ``report.json``, a ``ValidationReport``."""
        from edgepipe.measure.records import REPORT

        for stale in work.path.glob(f"{_SCRATCH}*"):  # of a run that was killed
            disk.remove_tree(stale)
        with disk.scratch(work.path, _SCRATCH) as scratch:
            self._report(inputs, work, scratch).write(into / REPORT)
        return Report(path=into, content="validation")

    def _report(self, inputs: Inputs, work: Work, scratch: Path) -> ValidationReport:
        import numpy as np

        from edgepipe.measure import accuracy, slices
        from edgepipe.measure.answers import Questions
        from edgepipe.measure.attribution import texts_to_explain
        from edgepipe.measure.records import REFERENCE, ValidationReport, packed
        from edgepipe.measure.texts import examples

        data, more = inputs.data, inputs.unlabelled
        truth = np.array([e.label for e in examples(data, self.split)], np.int64)
        explained = texts_to_explain(data, self.split, self.explain, seed=work.seed)
        asking = _Asking(Questions(data=data, split=self.split, unlabelled=more), explained, work)
        reference = asking.ask(REFERENCE, inputs.reference, scratch / "0.npy")
        candidates = [
            asking.ask(name, model, scratch / f"{number}.npy", reference)
            for number, (name, model) in enumerate(inputs.candidates.items(), start=1)
        ]
        common = accuracy.Common(
            truth=truth,
            slices=slices.slices(
                self.slices, data, self.split, truth=truth, lengths=reference.lengths
            ),
            explained=explained,
            resamples=self.resamples,
            seed=work.seed,
        )
        return ValidationReport(
            data=data.digest,
            split=self.split,
            split_sha256=disk.sha256(data.file(self.split)),
            labels=data.labels,
            examples=len(truth),
            truth=packed(truth),
            seed=work.seed,
            resamples=self.resamples,
            reference=accuracy.figures(reference, truth),
            candidates=tuple(accuracy.figures(candidate, truth) for candidate in candidates),
            comparisons=tuple(
                accuracy.compare(candidate, reference, common, examples(data, self.split))
                for candidate in candidates
            ),
            slices=common.slices,
            unlabelled_sha256=disk.sha256(more.file) if more else "",
            unlabelled=more.rows if more else 0,
        )


@dataclass(frozen=True)
class _Asking:
    """One model after the other, each loaded once."""

    questions: Questions
    explained: Sequence[Explained]
    work: Work

    def ask(
        self, name: str, model: Model, logits: Path, reference: Answered | None = None
    ) -> Answered:
        """The model's answers, and what words weigh for those of the reference (or its own)."""
        from edgepipe.measure.answers import Arm, ask
        from edgepipe.measure.models import device_of

        device = device_of(model, self.work.device)
        with _predictor(model, device) as predict:
            arm = Arm(name=name, artifact=model, device=device, predict=predict)
            found = ask(arm, self.questions, logits, self._progress)
            return replace(found, weights=self._weights(arm, reference or found))

    def _progress(self, done: int, total: int, name: str) -> None:
        self.work.progress(done, total, f"{name} answers")

    def _weights(self, arm: Arm, reference: Answered) -> tuple[Floats, ...]:
        if not self.explained:
            return ()
        from edgepipe.measure.logits import answer
        from edgepipe.training.attribution import occlusion

        def checked(texts: Sequence[str]) -> Logits:
            return answer(arm.predict, texts, labels=len(arm.artifact.labels), name=arm.name)

        self.work.progress(0, len(self.explained), f"{arm.name}: words are weighed")
        return tuple(
            occlusion(checked, text.words, int(reference.indices[text.row]))
            for text in self.explained
        )


def _require_columns(slices: Sequence[str], data: Dataset) -> None:
    """Raise StageError for a slice that is neither made here nor a column that the data keeps."""
    known = ("length", "label", *data.columns)
    for name in slices:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise StageError(
                f"slices: the dataset keeps no column {name!r} (there is {', '.join(known)}); add "
                f"it to keep in the data step{hint}"
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
        yield _checkpoint(model, device)
        return
    from edgepipe import runtime

    with runtime.load(model.path, device=device) as classifier:
        yield lambda texts: classifier.logits(texts, exact=True)


def _checkpoint(model: Checkpoint, device: Device) -> Predict:
    """As ``training.predict.logits``, but loaded once for every question."""
    from edgepipe.training.device import moved, torch_device
    from edgepipe.training.encode import encode, plain_tokenizer
    from edgepipe.training.load import load_model
    from edgepipe.training.predict import pad_id, run

    network = moved(load_model(model.path), torch_device(device))
    tokenizer = plain_tokenizer(model.path)
    return lambda texts: run(network, encode(texts, tokenizer, model.max_length), pad_id(network))
