"""Answers of models to figures: accuracy, F1, confusion, and candidates beside a reference."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from tokenizers import Tokenizer

from edgepipe.errors import StageError
from edgepipe.measure.models import Device, Model, file_sizes, precision_of
from edgepipe.measure.records import ArmAccuracy, ClassScores, Comparison, Flip
from edgepipe.measure.statistics import TWO_SIDED, bootstrap_drop, drop_bounds, mcnemar, wilson
from edgepipe.measure.texts import Example

Ints = npt.NDArray[np.int64]
Predict = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Texts to logits, float32 [texts, labels]."""
FLIPS = 50
"""Flipped texts that a report shows; all are counted."""


@dataclass(frozen=True)
class Bootstrap:
    """How often, and from which seed, texts are drawn anew."""

    resamples: int = 9999
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What one model answered. ``indices``: int64 [texts], into the artifact's labels."""

    name: str
    artifact: Model
    device: Device
    indices: Ints
    truncated: int
    """Texts longer than the model reads."""


def answers(predict: Predict, texts: Sequence[str], *, labels: int, name: str) -> Ints:
    """The index of the largest logit of each text, int64 [texts].

    Raises StageError, naming the arm, when the logits have another shape or are not finite.
    """
    logits = predict(texts)
    if logits.shape != (len(texts), labels):
        raise StageError(
            f"{name} answered {len(texts)} texts with logits of shape {logits.shape}, "
            f"not {(len(texts), labels)}"
        )
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if bad.size:
        raise StageError(
            f"{name} answers {bad.size} of {len(texts)} texts with logits that are not finite, "
            f"the first one {texts[bad[0]]!r}: the model is broken; look at the step that made it"
        )
    return np.asarray(logits.argmax(axis=1), np.int64)


def figures(answered: Answered, truth: Ints) -> ArmAccuracy:
    """How one model fared. ``truth``: int64 [texts], indices of its labels."""
    artifact, correct = answered.artifact, int((answered.indices == truth).sum())
    sizes = file_sizes(artifact)
    table = confusion_matrix(truth, answered.indices, labels=range(len(artifact.labels)))
    return ArmAccuracy(
        name=answered.name,
        digest=artifact.digest,
        precision=precision_of(artifact),
        device=answered.device,
        correct=correct,
        accuracy=correct / len(truth),
        interval=wilson(correct, len(truth)),
        macro_f1=macro_f1(answered.indices, truth),
        classes=class_scores(answered.indices, truth, artifact.labels),
        confusion=tuple(tuple(map(int, row)) for row in table),
        truncated=answered.truncated,
        files=sizes,
        bytes=sum(sizes.values()),
    )


def macro_f1(answered: Ints, truth: Ints) -> float:
    """The mean F1 of the classes that occur in ``truth`` or in ``answered``."""
    *_, f1, _ = precision_recall_fscore_support(truth, answered, zero_division=0)
    return float(np.mean(f1))


def class_scores(answered: Ints, truth: Ints, labels: Sequence[str]) -> tuple[ClassScores, ...]:
    """Precision, recall, F1 and support of every label, 0 where undefined."""
    columns = precision_recall_fscore_support(
        truth, answered, labels=range(len(labels)), zero_division=0
    )
    return tuple(
        ClassScores(
            label=label, precision=float(p), recall=float(r), f1=float(f), support=int(support)
        )
        for label, p, r, f, support in zip(labels, *columns, strict=True)
    )


def compare(
    candidate: Answered,
    reference: Answered,
    truth: Ints,
    rows: Iterable[Example],
    bootstrap: Bootstrap,
) -> Comparison:
    """A candidate beside the reference on the same ``rows``, whose labels are ``truth``."""
    new, old, total = candidate.indices, reference.indices, len(truth)
    b = int(((old == truth) & (new != truth)).sum())
    c = int(((old != truth) & (new == truth)).sum())
    alike = int((old == new).sum())
    return Comparison(
        candidate=candidate.name,
        examples=total,
        reference_only=b,
        candidate_only=c,
        drop=(b - c) / total,
        bootstrap=bootstrap_drop(b, c, total, bootstrap.resamples, seed=bootstrap.seed),
        score=drop_bounds(b, c, total, confidence=TWO_SIDED),
        mcnemar_p=mcnemar(b, c),
        agreement=alike / total,
        agreement_interval=wilson(alike, total),
        flipped=total - alike,
        flips=_first_flips(new, old, rows, candidate.artifact.labels),
    )


def _first_flips(
    new: Ints, old: Ints, rows: Iterable[Example], labels: Sequence[str]
) -> tuple[Flip, ...]:
    """The first ``FLIPS`` of ``rows`` on which the answers differ."""
    flipped = np.flatnonzero(new != old)[:FLIPS].tolist()
    wanted = set(flipped)
    reached = itertools.islice(enumerate(rows), max(flipped, default=-1) + 1)
    return tuple(
        Flip(
            row=index + 1,
            text=row.text,
            label=labels[row.label],
            reference=labels[old[index]],
            candidate=labels[new[index]],
        )
        for index, row in reached
        if index in wanted
    )


def truncated(tokenizer_file: Path, texts: Sequence[str], max_length: int) -> int:
    """How many texts have more tokens, special ones included, than the model reads."""
    try:
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
    except Exception as error:  # tokenizers raises bare Exception for a damaged file
        raise StageError(f"{tokenizer_file} is no readable tokenizer: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # One by one: a batch would start a pool of threads, which a later fork complains about.
    return sum(len(tokenizer.encode(text).ids) > max_length for text in texts)
