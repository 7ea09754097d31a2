"""Whether probabilities are worth their name: the expected calibration error and its change."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgepipe.measure.records import Bin, Calibration, Estimate, Ints
from edgepipe.measure.resample import bca

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
BINS = 15
_CHUNK = 1 << 20
"""Numbers drawn at a time: 8 MiB."""


class _Binned(NamedTuple):
    """``bins``: where every text falls, int64 [texts]; ``gaps``: confidence minus 1 or 0."""

    bins: Ints
    gaps: Floats

    @classmethod
    def of(cls, confidence: Floats, correct: Flags) -> _Binned:
        return cls(_bins(confidence), confidence - correct)

    def errors(self, rows: Ints) -> Floats:
        """The expected calibration error of every row of texts, float64 [rows]."""
        cells = self.bins[rows] + BINS * np.arange(len(rows))[:, None]
        sums = np.bincount(cells.ravel(), self.gaps[rows].ravel(), BINS * len(rows))
        return np.asarray(np.abs(sums.reshape(-1, BINS)).sum(axis=1) / rows.shape[1], np.float64)

    def influence(self) -> Floats:
        """How much each text raises the error, float64 [texts], but for what all share."""
        signs = np.sign(np.bincount(self.bins, self.gaps, BINS))
        return np.asarray(signs[self.bins] * self.gaps, np.float64)


def calibration(confidence: Floats, correct: Flags) -> Calibration:
    """The expected calibration error over 15 ranges of equal width.

    ``confidence``: the probability of each text's answer, float64 [texts]; ``correct``: whether it
    is right. ``sum(texts in range / texts * |accuracy - mean confidence|)``, each range closed
    above, after Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML
    2017.
    """
    bins = _bins(confidence)
    counts, sums, hits = (
        np.bincount(bins, weights, BINS) for weights in (None, confidence, correct)
    )
    some = np.maximum(counts, 1)
    return Calibration(
        ece=float(np.abs(sums - hits).sum() / len(confidence)),
        bins=tuple(
            Bin(count=int(count), confidence=float(mean), accuracy=float(share))
            for count, mean, share in zip(counts, sums / some, hits / some, strict=True)
        ),
    )


def calibration_increase(
    reference: tuple[Floats, Flags],
    candidate: tuple[Floats, Flags],
    *,
    resamples: int,
    seed: int,
) -> Estimate:
    """The candidate's expected calibration error minus the reference's, with BCa bounds over texts.

    Each side is confidence and correctness, as in ``calibration``; both are drawn together, text by
    text. The error of few texts is biased upwards by chance, for both sides alike: the difference
    hardly is.
    """
    old, new = _Binned.of(*reference), _Binned.of(*candidate)
    texts = len(old.gaps)
    random = np.random.default_rng(seed)
    rows = max(1, _CHUNK // texts)
    drawn = []
    for done in range(0, resamples, rows):
        again = random.integers(0, texts, (min(rows, resamples - done), texts))
        drawn.append(new.errors(again) - old.errors(again))
    everything = np.arange(texts)[None, :]
    value = float(new.errors(everything)[0] - old.errors(everything)[0])
    return bca(value, np.concatenate(drawn), new.influence() - old.influence())


def _bins(confidence: Floats) -> Ints:
    edges = np.arange(1, BINS) / BINS
    return np.asarray(np.searchsorted(edges, confidence, side="left"), np.int64)
