"""Intervals, tests and bounds for accuracies, speed ratios and percentiles.

Functions ending in ``_bounds`` return two bounds of which *each* holds one-sided with the given
confidence; for a two-sided 95 % interval ask for 0.975 (``TWO_SIDED``). Only numpy is imported:
a gate on two reports has half a second, of which scipy.stats alone would take more than all.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from edgepipe.measure.records import Interval

TWO_SIDED = 0.975
"""One-sided confidence of each bound of a two-sided 95 % interval."""
_TRIM = 0.2
_STEP = 1e-12
_HALVINGS = 60
_NODES = 64


def normal_quantile(probability: float) -> float:
    """Where the standard normal distribution reaches ``probability``."""
    return NormalDist().inv_cdf(probability)


def wilson(count: int, total: int, *, confidence: float = TWO_SIDED) -> Interval:
    """The score bounds of a proportion (Wilson 1927); of nothing everything is possible."""
    _check(confidence)
    if total == 0:
        return Interval(low=0.0, high=1.0)
    z2, share = normal_quantile(confidence) ** 2, count / total
    center = (share + z2 / (2 * total)) / (1 + z2 / total)
    spread = math.sqrt(z2 * (share * (1 - share) / total + z2 / (4 * total**2)))
    reach = spread / (1 + z2 / total)
    return Interval(
        low=0.0 if count == 0 else center - reach, high=1.0 if count == total else center + reach
    )


def mcnemar(reference_only: int, candidate_only: int) -> float:
    """The exact two-sided p-value that both kinds of disagreement are equally likely."""
    rarer = min(reference_only, candidate_only)
    return min(1.0, 2 * float(_binomial(reference_only + candidate_only, 0.5, rarer)[rarer]))


def _binomial(trials: int, chance: float, most: int) -> npt.NDArray[np.float64]:
    """The probability of at most 0, 1, …, ``most`` successes, float64 [most + 1]."""
    k = np.arange(1, most + 1)
    choices = np.concatenate([[0.0], np.cumsum(np.log((trials - k + 1) / k))])
    successes = np.arange(most + 1)
    odds = successes * math.log(chance) + (trials - successes) * math.log1p(-chance)
    return np.asarray(np.cumsum(np.exp(choices + odds)), np.float64)


def drop_bounds(
    reference_only: int,
    candidate_only: int,
    total: int,
    *,
    confidence: float,
    continuity: bool = False,
) -> Interval:
    """Bounds of the paired accuracy drop by inverting the score test (Tango 1998).

    T. Tango, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17, 891-908. A drop ``d`` lies inside while

        |b - c - n d| <= z sqrt(n (2 q + d (1 - d))),

    where ``q`` is the likeliest probability of ``c`` under that drop: the larger root of
    ``2n q² + (-b - c + (2n - b + c) d) q - c d (1 - d) = 0``. It nearly keeps its coverage with few
    disagreements, where a bootstrap returns a point; without texts every drop is possible.

    Without any disagreement the score bound, ``z² / (n + z²)``, is too low (at 95 % a larger drop
    shows none in 7 % of the draws): a drop is no more than the share lost, so ``unseen_share``
    bounds it exactly, and the bounds are never nearer to 0 than that then. From one disagreement
    on the score decides. It is boldest where the candidate never gains: with 100 texts or more
    the true drop then lies below the low bound at 95 % in up to 9.5 % of draws, above the high one
    in up to 6.5 %.

    ``continuity`` moves each bound by half a text's worth of the score: far out in the tail, where
    a bound of one part of many stands, the normal approximation of a few texts is too sure of
    itself (250 texts, four parts: 8 % wrong failures instead of 5 %; with it, 5 %).
    """
    _check(confidence)
    if not 0 <= reference_only + candidate_only <= total or min(reference_only, candidate_only) < 0:
        raise ValueError(f"{reference_only} and {candidate_only} do not fit into {total} texts")
    z, slack = normal_quantile(confidence), 0.5 if continuity else 0.0
    if reference_only == candidate_only == 0:
        reach = max(unseen_share(total, confidence=confidence), _drop_upper(0, 0, total, z, slack))
        return Interval(low=-reach, high=reach)
    return Interval(
        low=-_drop_upper(candidate_only, reference_only, total, z, slack),
        high=_drop_upper(reference_only, candidate_only, total, z, slack),
    )


def unseen_share(total: int, *, confidence: float) -> float:
    """The upper bound of a share that none of ``total`` texts showed; 1 without texts.

    Exact, by Clopper and Pearson (Biometrika 26, 1934, 404-413): ``(1 - share) ** total`` is
    ``1 - confidence``.
    """
    _check(confidence)
    return -math.expm1(math.log1p(-confidence) / total) if total else 1.0


def _drop_upper(b: int, c: int, n: int, z: float, slack: float) -> float:
    def excess(drop: float) -> float:
        variance = 2 * _likeliest(b, c, n, drop) + drop * (1 - drop)
        return b - c + slack - n * drop + z * math.sqrt(max(0.0, n * variance))

    if n == 0:
        return 1.0
    start = (b - c) / n + _STEP  # at the estimate itself the variance may be exactly 0
    if start >= 1 or excess(1.0) >= 0:
        return 1.0
    return _crossing(excess, start, 1.0)


def _likeliest(b: int, c: int, n: int, drop: float) -> float:
    linear = -b - c + (2 * n - b + c) * drop
    constant = -c * drop * (1 - drop)
    root = math.sqrt(max(0.0, linear * linear - 8 * n * constant))
    return (root - linear) / (4 * n)


def _crossing(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where ``falling`` goes from positive at ``low`` to negative at ``high``, by bisection."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return high


def detectable_drop(
    flips: int, examples: int, *, confidence: float = 0.95, power: float = 0.9
) -> float:
    """The smallest drop that a test set shows with that power: 1 when it is empty.

    ``flips`` texts of ``examples`` are answered rightly by one model only. The drop solves
    ``n = (z_confidence + z_power)² rate / drop²`` (8.56 rate / drop² by default), where the rate of
    flips is at least the drop itself: without flips it is ``8.56 / n``, never 0.
    """
    _check(confidence)
    if examples == 0:
        return 1.0
    reach = normal_quantile(confidence) + normal_quantile(power)
    return min(1.0, max(reach * math.sqrt(flips) / examples, reach**2 / examples))


def needed_examples(
    flip_rate: float, margin: float, *, confidence: float = 0.95, power: float = 0.9
) -> int:
    """How many texts clear ``margin`` with that power if nothing is lost; inverts the above.

    Never fewer than bring ``unseen_share`` to the margin: without flips that is the bound.
    Raises ValueError for a margin that is not positive: no number of texts proves that.
    """
    _check(confidence)
    if margin <= 0:
        raise ValueError(f"the margin has to be positive, got {margin}")
    reach = normal_quantile(confidence) + normal_quantile(power)
    unseen = math.log1p(-confidence) / math.log1p(-margin) if margin < 1 else 1.0
    return math.ceil(max(unseen, reach**2 * max(flip_rate, margin) / margin**2))


def ratio_bounds(log_ratios: Sequence[Sequence[float]], *, confidence: float) -> Interval:
    """Bounds of a speed ratio from the logarithms of block ratios, by process round."""
    _check(confidence)
    center, error = ratio_estimate(log_ratios)
    return _around(center, error * student_quantile(confidence, len(log_ratios) - 1))


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
    means = [_trimmed_mean(blocks) for blocks in log_ratios]
    return float(np.mean(means)), float(np.std(means, ddof=1)) / math.sqrt(len(means))


def ratio_of_ratios_bounds(
    new: Sequence[Sequence[float]], old: Sequence[Sequence[float]], *, confidence: float
) -> Interval:
    """Bounds of one speed ratio over another, from two runs with the same reference.

    The logarithms are subtracted and their errors added, with the degrees of freedom of Welch
    (1947) and Satterthwaite (1946). What a machine does to every process of one run in the same
    way cancels only as far as it does the same to the reference.
    """
    _check(confidence)
    (new_center, new_error), (old_center, old_error) = ratio_estimate(new), ratio_estimate(old)
    error = math.hypot(new_error, old_error)
    if error == 0:
        return _around(new_center - old_center, 0.0)
    weights = new_error**4 / (len(new) - 1) + old_error**4 / (len(old) - 1)
    reach = error * student_quantile(confidence, error**4 / weights)
    return _around(new_center - old_center, reach)


def _around(center: float, reach: float) -> Interval:
    return Interval(low=math.exp(center - reach), high=math.exp(center + reach))


def _trimmed_mean(values: Sequence[float]) -> float:
    """The mean without the lowest and the highest fifth."""
    ordered = np.sort(np.asarray(values, np.float64))
    cut = int(_TRIM * len(ordered))
    return float(ordered[cut : len(ordered) - cut].mean())


@functools.cache
def student_quantile(confidence: float, degrees_of_freedom: float) -> float:
    """Where Student's t reaches ``confidence`` (0.5 to 0.999), for one degree of freedom or more.

    With ``t = sqrt(df) tan(angle)`` its density becomes ``cos(angle) ** (df - 1)``, which
    Gauss-Legendre quadrature integrates; agrees with scipy to 1e-6 of the value.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)

    def area(angle: float) -> float:
        heights = np.cos(angle * (nodes + 1) / 2) ** (degrees_of_freedom - 1)
        return float(weights @ heights) * angle / 2

    half = degrees_of_freedom / 2
    whole = math.sqrt(math.pi) * math.exp(math.lgamma(half) - math.lgamma(half + 0.5)) / 2
    wanted = (2 * confidence - 1) * whole
    return math.sqrt(degrees_of_freedom) * math.tan(
        _crossing(lambda angle: wanted - area(angle), 0.0, math.pi / 2)
    )


def percentile_bound(
    values: Sequence[float] | npt.NDArray[np.float64],
    percentile: float,
    *,
    confidence: float = 0.99,
) -> float | None:
    """A value that the percentile (of 100) lies under, with that confidence; None from too few.

    The order statistic of MLPerf LoadGen's early stopping at tolerance 0 (mlcommons/inference,
    loadgen/early_stopping.cc): with the most values ``t >= 1`` over the percentile that are still
    too few to happen by chance, ``P(Binomial(n, 1 - p) <= t) < 1 - confidence``, it is the ``t``-th
    highest of all ``n``. See ``percentile_needs`` for how many that takes.
    """
    over = _over_percentile(len(values), percentile, confidence)
    if over == 0:
        return None
    return float(np.partition(np.asarray(values, np.float64), -over)[-over])


@functools.cache
def percentile_needs(percentile: float, *, confidence: float = 0.99) -> int:
    """How many values bound the percentile at all: 64 for the 90th, 662 for the 99th."""
    found = 1
    while _over_percentile(found, percentile, confidence) == 0:
        found += 1
    return found


@functools.cache
def percentile_rank(total: int, percentile: float, *, confidence: float = 0.99) -> int:
    """Such that the percentile (of 100) lies over the value of this rank with that confidence.

    Counted from the highest of ``total`` values, which is 1; beyond ``total`` where no value is low
    enough. So many values over the percentile would be a chance of ``1 - confidence`` or less.
    Memory grows with the square root of ``total``.
    """
    _check(confidence)
    first, odds = _binomial_middle(total, 1 - percentile / 100)
    return first + int(np.flatnonzero(odds >= confidence)[0]) + 1


def _binomial_middle(trials: int, chance: float) -> tuple[int, npt.NDArray[np.float64]]:
    """The least count that matters, and the probability of at most so many successes, and more.

    float64 [counts], up to 1. Beyond ten standard deviations there is less than rounding.
    """
    mean = trials * chance
    reach = 10 * math.sqrt(mean * (1 - chance)) + 10
    first, last = max(0, math.floor(mean - reach)), min(trials, math.ceil(mean + reach))
    k = np.arange(first + 1, last + 1)
    steps = np.log((trials - k + 1) / k) + math.log(chance) - math.log1p(-chance)
    heights = np.concatenate([[0.0], np.cumsum(steps)])
    odds = np.cumsum(np.exp(heights - heights.max()))
    return first, odds / odds[-1]


def _over_percentile(total: int, percentile: float, confidence: float) -> int:
    """LoadGen's ``t``, or 0 where even 1 of ``total`` may be chance."""
    _check(confidence)
    beyond = 1 - percentile / 100
    odds = _binomial(total, beyond, min(total, math.ceil(total * beyond)))
    return max(0, int((odds < 1 - confidence).sum()) - 1)


def _check(confidence: float) -> None:
    if not 0.5 < confidence < 1:  # noqa: PLR2004 (a coin flip)
        raise ValueError(f"the confidence has to lie between 0.5 and 1, got {confidence}")
