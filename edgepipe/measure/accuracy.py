"""Answers of models to figures: accuracy, F1, calibration, and candidates beside a reference."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from edgepipe.measure.answers import Answered
from edgepipe.measure.attribution import Explained, explanation
from edgepipe.measure.calibration import Flags, Floats, calibration, calibration_increase
from edgepipe.measure.logits import differences
from edgepipe.measure.models import file_sizes, precision_of
from edgepipe.measure.paired import counts, macro_f1_drop, slice_figures
from edgepipe.measure.records import (
    Agreement,
    ArmAccuracy,
    ClassScores,
    Comparison,
    Flip,
    Ints,
    SliceBy,
    packed,
)
from edgepipe.measure.resample import mean_estimate
from edgepipe.measure.statistics import TWO_SIDED, detectable_drop, drop_bounds, mcnemar, wilson
from edgepipe.measure.texts import Example

FLIPS = 50
"""Flipped texts that a report shows; all are counted."""


@dataclass(frozen=True, kw_only=True)
class Common:
    """What every comparison shares."""

    truth: Ints
    """int64 [texts], indices of the labels."""
    slices: tuple[SliceBy, ...] = ()
    explained: tuple[Explained, ...] = ()
    resamples: int = 9999
    seed: int = 0


def figures(answered: Answered, truth: Ints) -> ArmAccuracy:
    """How one model fared. ``truth``: int64 [texts], indices of its labels."""
    artifact, right = answered.artifact, answered.indices == truth
    correct, sizes = int(right.sum()), file_sizes(artifact)
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
        calibration=calibration(answered.confidence, right),
        truncated=int((answered.lengths > artifact.max_length).sum()),
        files=sizes,
        bytes=sum(sizes.values()),
        answers=packed(answered.indices),
        unlabelled_answers=packed(answered.unlabelled) if answered.unlabelled.size else "",
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
    candidate: Answered, reference: Answered, common: Common, rows: Iterable[Example]
) -> Comparison:
    """A candidate beside the reference on the same ``rows``, whose labels are the truth."""
    truth, old, new = common.truth, reference.indices, candidate.indices
    found, draw = counts(truth, old, new), {"resamples": common.resamples, "seed": common.seed}
    b, c, total, alike = found
    divergence, largest = differences(reference.logits, candidate.logits)
    return Comparison(
        candidate=candidate.name,
        examples=total,
        reference_only=b,
        candidate_only=c,
        drop=found.drop,
        score=drop_bounds(b, c, total, confidence=TWO_SIDED),
        mcnemar_p=mcnemar(b, c),
        detectable=detectable_drop(found.flips, total),
        macro_f1_drop=macro_f1_drop(truth, old, new, len(candidate.artifact.labels), **draw),
        agreement=alike / total,
        agreement_interval=wilson(alike, total),
        divergence=mean_estimate(divergence, **draw),
        calibration_increase=calibration_increase(
            _sureness(reference, truth), _sureness(candidate, truth), **draw
        ),
        max_logit_difference=largest,
        flipped=total - alike,
        flips=_first_flips(candidate, reference, rows),
        slices={cut.by: slice_figures(cut, truth, old, new) for cut in common.slices},
        explanation=explanation(common.explained, reference.weights, candidate.weights, **draw),
        unlabelled=_unlabelled(candidate.unlabelled, reference.unlabelled),
    )


def _sureness(answered: Answered, truth: Ints) -> tuple[Floats, Flags]:
    return answered.confidence, answered.indices == truth


def _unlabelled(candidate: Ints, reference: Ints) -> Agreement | None:
    total, alike = len(reference), int((candidate == reference).sum())
    if total == 0:
        return None
    return Agreement(
        examples=total, alike=alike, agreement=alike / total, interval=wilson(alike, total)
    )


def _first_flips(
    candidate: Answered, reference: Answered, rows: Iterable[Example]
) -> tuple[Flip, ...]:
    """The first ``FLIPS`` of ``rows`` on which the answers differ."""
    labels = candidate.artifact.labels
    flipped = np.flatnonzero(candidate.indices != reference.indices)[:FLIPS].tolist()
    wanted = set(flipped)
    reached = itertools.islice(enumerate(rows), max(flipped, default=-1) + 1)
    return tuple(
        Flip(
            row=index + 1,
            text=row.text,
            label=labels[row.label],
            reference=labels[reference.indices[index]],
            candidate=labels[candidate.indices[index]],
            reference_confidence=float(reference.confidence[index]),
            candidate_confidence=float(candidate.confidence[index]),
        )
        for index, row in reached
        if index in wanted
    )
