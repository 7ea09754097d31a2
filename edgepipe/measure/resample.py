"""Bounds by drawing texts anew: the bias-corrected and accelerated bootstrap."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from edgepipe.measure.records import PROBABILITIES, Estimate

Floats = npt.NDArray[np.float64]
_CHUNK = 1 << 20
"""Numbers drawn at a time: 8 MiB."""
_TINY = 1e-12


def bca(
    value: float,
    replicates: Floats,
    influence: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
) -> Estimate:
    """``value`` with its BCa bounds (Efron, "Better bootstrap confidence intervals", JASA 1987).

    ``replicates``: float [resamples], the figure on texts drawn anew. ``influence``: float [m], how
    much each text raises the figure (its mean over all texts left out, one at a time, minus the
    figure without this one; any positive multiple, centred or not); ``weights``: float [m], how
    many texts have that influence, one each by default. Replicates that are all the same give a
    point. Raises ValueError for figures that are not finite.
    """
    drawn = np.asarray(replicates, np.float64)
    if not (np.isfinite(value) and np.isfinite(drawn).all()):
        raise ValueError("a figure, or one of its resamples, is not finite")
    if drawn.size == 0 or drawn.min() == drawn.max():
        point = float(drawn[0]) if drawn.size else value
        return Estimate(value=value, quantiles=(point,) * len(PROBABILITIES))
    bias = _bias(value, drawn)
    acceleration = _acceleration(np.asarray(influence, np.float64), weights)
    levels = [_level(p, bias, acceleration) for p in PROBABILITIES]
    quantiles = np.maximum.accumulate(np.quantile(drawn, levels))
    return Estimate(value=value, quantiles=tuple(map(float, quantiles)))


def _bias(value: float, drawn: Floats) -> float:
    """``z0``: how far from the middle of the replicates the figure lies; ties count half."""
    below = float((drawn < value).mean() + (drawn <= value).mean()) / 2
    least = 1 / (drawn.size + 1)
    return NormalDist().inv_cdf(min(max(below, least), 1 - least))


def _acceleration(influence: Floats, weights: npt.ArrayLike | None) -> float:
    """A sixth of the skewness of the influence over the square root of the number of texts."""
    counts = np.ones_like(influence) if weights is None else np.asarray(weights, np.float64)
    centred = influence - np.average(influence, weights=counts)
    spread = float(counts @ centred**2)
    return float(counts @ centred**3) / (6 * spread**1.5) if spread > 0 else 0.0


def _level(probability: float, bias: float, acceleration: float) -> float:
    """Which quantile of the replicates bounds the figure with ``probability``."""
    normal = NormalDist()
    shifted = bias + normal.inv_cdf(probability)
    return normal.cdf(bias + shifted / max(1 - acceleration * shifted, _TINY))


def mean_estimate(values: npt.ArrayLike, *, resamples: int, seed: int) -> Estimate:
    """The mean of one figure a text with BCa bounds; the same for the same seed.

    ``values``: float [texts], at least one. Memory does not grow with ``resamples`` times texts.
    """
    figures = np.asarray(values, np.float64)
    random = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(figures))
    means = [
        figures[random.integers(0, len(figures), (min(rows, resamples - done), len(figures)))].mean(
            axis=1
        )
        for done in range(0, resamples, rows)
    ]
    drawn = np.concatenate([*means, np.empty(0)])
    return bca(float(figures.mean()), drawn, figures)
