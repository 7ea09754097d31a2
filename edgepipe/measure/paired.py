"""Two models' answers to the same texts: counts, the macro-F1 lost, and both part by part."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgepipe.measure.records import PROBABILITIES, Estimate, Ints, SliceBy, SliceFigures, unpacked
from edgepipe.measure.resample import bca
from edgepipe.measure.statistics import TWO_SIDED, drop_bounds, normal_quantile

Floats = npt.NDArray[np.float64]
_CHUNK = 1 << 20
"""Cells drawn at a time: 8 MiB."""


class Counts(NamedTuple):
    """How often one model, the other or both answer rightly."""

    reference_only: int
    """``b``: texts that only the reference answers rightly."""
    candidate_only: int
    """``c``: texts that only the candidate answers rightly."""
    examples: int
    alike: int
    """Texts with the same answer, right or wrong."""

    @property
    def drop(self) -> float:
        """The accuracy lost, ``(b - c) / examples``; 0 without texts."""
        return (self.reference_only - self.candidate_only) / max(1, self.examples)

    @property
    def flips(self) -> int:
        """``b + c``: all that the paired test lives on."""
        return self.reference_only + self.candidate_only


def counts(truth: Ints, reference: Ints, candidate: Ints) -> Counts:
    """The counts over all texts; each argument int64 [texts], indices of labels."""
    right, rival = reference == truth, candidate == truth
    return Counts(
        reference_only=int((right & ~rival).sum()),
        candidate_only=int((~right & rival).sum()),
        examples=len(truth),
        alike=int((reference == candidate).sum()),
    )


def slice_figures(
    cut: SliceBy, truth: Ints, reference: Ints, candidate: Ints
) -> tuple[SliceFigures, ...]:
    """One for each part of ``cut``, in its order; accuracies of an empty part are 0."""
    parts = unpacked(cut.parts, len(truth))
    return tuple(
        _slice(name, *(column[parts == part] for column in (truth, reference, candidate)))
        for part, name in enumerate(cut.names)
    )


def _slice(name: str, truth: Ints, reference: Ints, candidate: Ints) -> SliceFigures:
    found = counts(truth, reference, candidate)
    b, c, n, _ = found
    return SliceFigures(
        name=name,
        examples=n,
        reference_only=b,
        candidate_only=c,
        reference_accuracy=int((reference == truth).sum()) / max(1, n),
        candidate_accuracy=int((candidate == truth).sum()) / max(1, n),
        drop=found.drop,
        score=drop_bounds(b, c, n, confidence=TWO_SIDED),
    )


def macro_f1_drop(  # noqa: PLR0913 - three columns and how to draw from them
    truth: Ints, reference: Ints, candidate: Ints, labels: int, *, resamples: int, seed: int
) -> Estimate:
    """The reference's macro-averaged F1 minus the candidate's, with BCa bounds over texts.

    Each argument int64 [texts], at least one. Texts with the same label and the same two answers
    are exchangeable, so drawing texts anew is drawing the sizes of these cells from a multinomial:
    the same distribution in time that does not grow with texts. Macro-F1 is over the classes that
    occur in the labels or in the answers, as scikit-learn has it, in each resample anew.

    Resampling cannot show what none of the texts shows, so no bound comes nearer than what the
    smallest class could have lost unseen: of ``n`` texts, all answered alike, the score bound of
    the share lost is ``z² / (n + z²)`` (Tango 1998), which counts once among all classes.
    """
    tally = _Tally.of(truth, reference, candidate, labels)
    random = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(tally.sizes))
    shares = tally.sizes / tally.sizes.sum()
    drawn = [
        tally.drops(random.multinomial(len(truth), shares, min(rows, resamples - done)))
        for done in range(0, resamples, rows)
    ]
    value = float(tally.drops(tally.sizes[None, :])[0])
    found = bca(value, np.concatenate([*drawn, np.empty(0)]), tally.influence(), tally.sizes)
    return _widened(found, truth)


def _widened(found: Estimate, truth: Ints) -> Estimate:
    sizes = np.unique(truth, return_counts=True)[1]
    levels = np.array([normal_quantile(p) for p in PROBABILITIES])
    unseen = levels**2 / (sizes.min() + levels**2) / len(sizes) * np.sign(levels)
    quantiles = np.array(found.quantiles)
    low = np.minimum(quantiles, found.value + unseen)
    high = np.maximum(quantiles, found.value + unseen)
    wider = np.where(levels < 0, low, np.where(levels > 0, high, quantiles))
    return Estimate(value=found.value, quantiles=tuple(map(float, wider)))


class _Tally(NamedTuple):
    """Cells of texts that have the same label and the same two answers."""

    sizes: Ints
    """int64 [cells]: how many texts."""
    of_class: Floats
    """float64 [cells, 5 * labels]: what a text of the cell adds, class by class, to the texts of
    the class, to the reference's and the candidate's answers, and to the right ones of each."""

    @classmethod
    def of(cls, truth: Ints, reference: Ints, candidate: Ints, labels: int) -> _Tally:
        cells, sizes = np.unique(
            np.stack([truth, reference, candidate], axis=1), axis=0, return_counts=True
        )
        texts, old, new = (np.eye(labels)[column] for column in cells.T)
        columns = [texts, old, new, texts * old, texts * new]
        return cls(np.asarray(sizes, np.int64), np.concatenate(columns, axis=1))

    def drops(self, sizes: Ints) -> Floats:
        """The macro-F1 lost, float64 [rows], for cells of other ``sizes``, int64 [rows, cells]."""
        return _drops(sizes @ self.of_class)

    def influence(self) -> Floats:
        """How much one text of each cell raises the drop, float64 [cells], by leaving it out."""
        return -_drops(self.sizes @ self.of_class - self.of_class)


def _drops(sums: Floats) -> Floats:
    texts, old, new, old_right, new_right = np.split(sums, 5, axis=1)
    return _macro_f1(texts + old, old_right) - _macro_f1(texts + new, new_right)


def _macro_f1(either: Floats, right: Floats) -> Floats:
    """F1 is twice the right answers over texts plus answers; the mean where that is not 0 / 0."""
    occurs = either > 0
    f1 = np.divide(2 * right, either, out=np.zeros_like(right), where=occurs)
    return np.asarray(f1.sum(axis=1) / np.maximum(1, occurs.sum(axis=1)), np.float64)
