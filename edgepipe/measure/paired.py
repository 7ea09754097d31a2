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
"""Numbers held at a time: 8 MiB."""
_DEAR = 10
"""Drawing the size of a cell takes about as long as drawing so many texts."""


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
    are exchangeable, so drawing texts anew is drawing the sizes of these cells from a multinomial.
    Time grows with the cells (at most labels ** 3, or one for each text) and with the labels, times
    ``resamples``; with the texts only where nearly each is a cell of its own. Macro-F1 is over the
    classes that occur in the labels or in the answers, as scikit-learn has it, in each resample
    anew.

    Resampling cannot show what none of the texts shows, so no bound comes nearer than what the
    smallest class could have lost unseen: of ``n`` texts, all answered alike, the score bound of
    the share lost is ``z² / (n + z²)`` (Tango 1998), which counts once among all classes.
    """
    tally = _Tally.of(truth, reference, candidate, labels)
    random = np.random.default_rng(seed)
    rows = max(1, _CHUNK // max(len(tally.sizes), 5 * labels))
    drawn = [
        tally.drops(tally.drawn(random, min(rows, resamples - done)))
        for done in range(0, resamples, rows)
    ]
    value = float(tally.drops(tally.sizes[None, :])[0])
    found = bca(value, np.concatenate([*drawn, np.empty(0)]), tally.influence(rows), tally.sizes)
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


class _Column(NamedTuple):
    """Which cells add to which class: each to one at most, so that no table of both is needed."""

    order: Ints
    """Indices of cells, class by class."""
    starts: Ints
    """Where a class begins in it."""
    classes: Ints
    """Those that have any."""

    @classmethod
    def of(cls, classes: Ints, counted: npt.NDArray[np.bool_]) -> _Column:
        chosen = np.flatnonzero(counted)
        order = chosen[np.argsort(classes[chosen], kind="stable")]
        present, starts = np.unique(classes[order], return_index=True)
        return cls(order, starts, present)


class _Tally(NamedTuple):
    """Cells of texts that have the same label and the same two answers."""

    sizes: Ints
    """int64 [cells]: how many texts."""
    cell: Ints
    """int64 [texts]: the cell of every text."""
    columns: tuple[_Column, ...]
    """The texts of a class, the reference's and the candidate's answers, the right ones of each."""
    labels: int

    @classmethod
    def of(cls, truth: Ints, reference: Ints, candidate: Ints, labels: int) -> _Tally:
        key = (truth * labels + reference) * labels + candidate
        _, first, cell, sizes = np.unique(
            key, return_index=True, return_inverse=True, return_counts=True
        )
        texts, old, new = truth[first], reference[first], candidate[first]
        every = np.ones(len(first), np.bool_)
        columns = (
            _Column.of(texts, every),
            _Column.of(old, every),
            _Column.of(new, every),
            _Column.of(texts, texts == old),
            _Column.of(texts, texts == new),
        )
        return cls(np.asarray(sizes, np.int64), cell, columns, labels)

    def drawn(self, random: np.random.Generator, rows: int) -> Ints:
        """Sizes of cells when as many texts are drawn anew, int64 [rows, cells]."""
        texts, cells = len(self.cell), len(self.sizes)
        if cells * _DEAR < texts:
            return random.multinomial(texts, self.sizes / texts, rows)
        picks = (self.cell[random.integers(0, texts, texts)] for _ in range(rows))
        return np.stack([np.bincount(pick, minlength=cells) for pick in picks])

    def sums(self, sizes: Ints) -> Floats:
        """By column and class, float64 [5, rows, labels], of cells of ``sizes`` [rows, cells]."""
        found = np.zeros((len(self.columns), len(sizes), self.labels))
        for sums, column in zip(found, self.columns, strict=True):
            if column.order.size:
                sums[:, column.classes] = np.add.reduceat(
                    sizes[:, column.order], column.starts, axis=1
                )
        return found

    def drops(self, sizes: Ints) -> Floats:
        """The macro-F1 lost, float64 [rows], for cells of other ``sizes``, int64 [rows, cells]."""
        return _drops(self.sums(sizes))

    def influence(self, rows: int) -> Floats:
        """How much one text of each cell raises the drop, float64 [cells], by leaving it out.

        ``rows``: how many cells at a time.
        """
        cells = len(self.sizes)
        without = (
            self.sizes - np.eye(min(rows, cells - done), cells, done, np.int64)
            for done in range(0, cells, rows)
        )
        return -np.concatenate([self.drops(sizes) for sizes in without])


def _drops(sums: Floats) -> Floats:
    texts, old, new, old_right, new_right = sums
    return _macro_f1(texts + old, old_right) - _macro_f1(texts + new, new_right)


def _macro_f1(either: Floats, right: Floats) -> Floats:
    """F1 is twice the right answers over texts plus answers; the mean where that is not 0 / 0."""
    occurs = either > 0
    f1 = np.divide(2 * right, either, out=np.zeros_like(right), where=occurs)
    return np.asarray(f1.sum(axis=1) / np.maximum(1, occurs.sum(axis=1)), np.float64)
