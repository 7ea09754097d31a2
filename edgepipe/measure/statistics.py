"""Intervals, tests and bounds for accuracies and speed ratios.

Functions ending in ``_bounds`` return two bounds of which *each* holds one-sided with the given
confidence; for a two-sided 95 % interval ask for 0.975 (``TWO_SIDED``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize, stats

from edgepipe.measure.records import Interval

TWO_SIDED = 0.975
"""One-sided confidence of each bound of a two-sided 95 % interval."""
_TRIM = 0.2
_STEP = 1e-12


def wilson(count: int, total: int) -> Interval:
    """The two-sided 95 % score interval of a proportion (Wilson 1927)."""
    found = stats.binomtest(count, total).proportion_ci(0.95, method="wilson")
    return Interval(low=float(found.low), high=float(found.high))


def mcnemar(reference_only: int, candidate_only: int) -> float:
    """The exact two-sided p-value that both kinds of disagreement are equally likely."""
    discordant = reference_only + candidate_only
    if discordant == 0:
        return 1.0
    return float(stats.binomtest(reference_only, discordant, 0.5).pvalue)


def bootstrap_drop(
    reference_only: int, candidate_only: int, total: int, resamples: int, *, seed: int
) -> Interval:
    """The two-sided 95 % percentile interval of the paired accuracy drop (Efron 1979).

    Each text adds +1, -1 or 0 to the drop, so drawing ``total`` texts with replacement is drawing
    three counts from a multinomial: the same distribution in time that does not grow with texts.
    """
    counts = np.array([reference_only, candidate_only, total - reference_only - candidate_only])
    drawn = np.random.default_rng(seed).multinomial(total, counts / total, size=resamples)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / total, [1 - TWO_SIDED, TWO_SIDED])
    return Interval(low=float(low), high=float(high))


def drop_bounds(
    reference_only: int, candidate_only: int, total: int, *, confidence: float
) -> Interval:
    """Bounds of the paired accuracy drop by inverting the score test (Tango 1998).

    T. Tango, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17, 891-908. A drop ``d`` lies inside while

        |b - c - n d| <= z sqrt(n (2 q + d (1 - d))),

    where ``q`` is the likeliest probability of ``c`` under that drop: the larger root of
    ``2n q² + (-b - c + (2n - b + c) d) q - c d (1 - d) = 0``. It keeps its coverage with few or no
    disagreements, where a bootstrap returns a point.
    """
    _check(confidence)
    if not 0 <= reference_only + candidate_only <= total or min(reference_only, candidate_only) < 0:
        raise ValueError(f"{reference_only} and {candidate_only} do not fit into {total} texts")
    z = float(stats.norm.ppf(confidence))
    return Interval(
        low=-_drop_upper(candidate_only, reference_only, total, z),
        high=_drop_upper(reference_only, candidate_only, total, z),
    )


def _drop_upper(b: int, c: int, n: int, z: float) -> float:
    def excess(drop: float) -> float:
        variance = 2 * _likeliest(b, c, n, drop) + drop * (1 - drop)
        return b - c - n * drop + z * math.sqrt(max(0.0, n * variance))

    start = (b - c) / n + _STEP  # at the estimate itself the variance may be exactly 0
    if start >= 1 or excess(1.0) >= 0:
        return 1.0
    return float(optimize.brentq(excess, start, 1.0, xtol=_STEP))


def _likeliest(b: int, c: int, n: int, drop: float) -> float:
    linear = -b - c + (2 * n - b + c) * drop
    constant = -c * drop * (1 - drop)
    root = math.sqrt(max(0.0, linear * linear - 8 * n * constant))
    return (root - linear) / (4 * n)


def ratio_bounds(log_ratios: Sequence[Sequence[float]], *, confidence: float) -> Interval:
    """Bounds of a speed ratio from the logarithms of block ratios, by process round."""
    _check(confidence)
    center, error = ratio_estimate(log_ratios)
    reach = float(stats.t.ppf(confidence, len(log_ratios) - 1)) * error
    return Interval(low=math.exp(center - reach), high=math.exp(center + reach))


def ratio_estimate(log_ratios: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The logarithm of a speed ratio and its standard error; at least two process rounds.

    Memory layout and neighbours differ from process to process, so blocks of one process are no
    independent repetitions (Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM
    2013). Each process counts once, by its 20 % trimmed mean, and the error is Student's over
    processes. In simulations with equal noise of both kinds the 95 % interval covers 95 %, and
    92 to 95 % when rounds are added until it is narrow; a bootstrap over three or four processes
    covers 79 to 85 %.
    """
    if len(log_ratios) <= 1:
        raise ValueError("a ratio needs two process rounds or more to know its error")
    means = [float(stats.trim_mean(blocks, _TRIM)) for blocks in log_ratios]
    return float(np.mean(means)), float(stats.sem(means))


def _check(confidence: float) -> None:
    if not 0.5 < confidence < 1:  # noqa: PLR2004 (a coin flip)
        raise ValueError(f"the confidence has to lie between 0.5 and 1, got {confidence}")
