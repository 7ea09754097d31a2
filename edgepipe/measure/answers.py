"""One model asked about every text: what it answered, how surely, and where its logits lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgepipe.artifacts import Dataset, Split, Texts
from edgepipe.errors import DataError
from edgepipe.measure.lengths import token_counter
from edgepipe.measure.logits import CHUNK, Logits, Predict, answer, log_probabilities, write
from edgepipe.measure.models import Device, Model
from edgepipe.measure.records import Ints
from edgepipe.measure.texts import chunks, examples, unlabelled

Floats = npt.NDArray[np.float64]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A model under a name, and how to ask it."""

    name: str
    artifact: Model
    device: Device
    predict: Predict


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What every model is asked."""

    data: Dataset
    split: Split
    unlabelled: Texts | None = None

    @property
    def rows(self) -> int:
        """Texts of the split."""
        return self.data.splits[self.split].rows

    @property
    def total(self) -> int:
        """With the unlabelled ones."""
        return self.rows + (self.unlabelled.rows if self.unlabelled else 0)


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What one model answered. Every array has a figure for each text of the split."""

    name: str
    artifact: Model
    device: Device
    logits: Path
    """.npy, float32 [texts, labels]."""
    indices: Ints
    """Into the artifact's labels."""
    confidence: Floats
    """The probability of the answer."""
    lengths: Ints
    """Tokens by the model's own tokenizer, special ones included."""
    unlabelled: Ints
    """int64 [unlabelled texts]: answers to these; empty where there are none."""
    weights: tuple[Floats, ...] = ()
    """What the words of each explained text weigh."""


def ask(arm: Arm, questions: Questions, logits: Path, progress: Progress) -> Answered:
    """The model's answer to every text, a chunk of texts at a time; its logits are in ``logits``.

    Raises StageError, naming the arm, for logits that are not finite.
    """
    labels, rows = len(questions.data.labels), questions.rows
    split = _Collected(token_counter(arm.artifact.path / "tokenizer.json"))
    texts = (example.text for example in examples(questions.data, questions.split))
    asked = _ask(arm, texts, labels, lambda done: progress(done, questions.total, arm.name))
    write(logits, split.through(asked, rows), rows=rows, labels=labels)
    return Answered(
        name=arm.name,
        artifact=arm.artifact,
        device=arm.device,
        logits=logits,
        indices=np.concatenate(split.indices),
        confidence=np.concatenate(split.confidence),
        lengths=np.concatenate(split.lengths),
        unlabelled=_unlabelled(arm, questions, progress),
    )


def _unlabelled(arm: Arm, questions: Questions, progress: Progress) -> Ints:
    if questions.unlabelled is None:
        return np.empty(0, np.int64)
    labels, rows = len(questions.data.labels), questions.rows
    texts = unlabelled(questions.unlabelled)
    asked = _ask(arm, texts, labels, lambda done: progress(rows + done, questions.total, arm.name))
    return np.concatenate([np.asarray(part.argmax(axis=1), np.int64) for _, part in asked])


def _ask(
    arm: Arm, texts: Iterator[str], labels: int, progress: Callable[[int], None]
) -> Iterator[tuple[Sequence[str], Logits]]:
    for number, chunk in enumerate(chunks(texts, CHUNK)):
        progress(number * CHUNK)
        yield chunk, answer(arm.predict, chunk, labels=labels, name=arm.name)


class _Collected:
    """What is kept of every chunk of the split as its logits pass on to the disk."""

    def __init__(self, count: Callable[[Sequence[str]], Ints]) -> None:
        self.count = count
        self.indices: list[Ints] = []
        self.confidence: list[Floats] = []
        self.lengths: list[Ints] = []

    def through(self, asked: Iterator[tuple[Sequence[str], Logits]], rows: int) -> Iterator[Logits]:
        for texts, logits in asked:
            self.indices.append(np.asarray(logits.argmax(axis=1), np.int64))
            highest = log_probabilities(logits.astype(np.float64)).max(axis=1)
            self.confidence.append(np.asarray(np.exp(highest), np.float64))
            self.lengths.append(self.count(texts))
            yield logits
        found = sum(map(len, self.lengths))
        if found != rows:
            raise DataError(
                f"the split has {found} texts where its record says {rows}; make the dataset again"
            )
