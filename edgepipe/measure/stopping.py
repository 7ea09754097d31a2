"""When clocks have told enough, and when they are not to be believed.

Everything here looks at logarithms of time ratios alone, so that recorded ones can be judged again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgepipe.measure.records import Interval
from edgepipe.measure.statistics import TWO_SIDED, ratio_bounds, ratio_estimate

LogRatios = Sequence[Sequence[float]]
"""``ln(reference / candidate)`` of every block, by process round."""
BIAS = 0.02
"""A sentinel off by this share or less is no reason for doubt."""
_WAITS = 1.25
_LOOKS = 5
_PART = 4
_FINEST = 0.002
_DISTINCT = 50
_REPEATS = 10


class Limit(NamedTuple):
    """What a gate asks of a candidate's ratio."""

    candidate: str
    min_ratio: float
    confidence: float


def decided(log_ratios: LogRatios, limit: Limit) -> bool:
    """The ratio lies on one side of its limit, and further rounds would hardly change that.

    A look after every round is one more chance to be wrong, so a look that ends the measurement
    asks for a fifth of the error that the gate allows.
    """
    bounds = ratio_bounds(log_ratios, confidence=1 - (1 - limit.confidence) / _LOOKS)
    return bounds.low >= limit.min_ratio or bounds.high < limit.min_ratio


def at_the_limit(log_ratios: LogRatios, limit: Limit, half_width: float) -> bool:
    """The ratio is known so well that a limit between its bounds is what there is to say.

    To a quarter of what the limit allows (1.2 % for a limit of 5 %), at most ``half_width``.
    """
    wanted = min(half_width, max(_FINEST, abs(math.log(limit.min_ratio)) / _PART))
    return reach(ratio_bounds(log_ratios, confidence=limit.confidence)) <= wanted


def reach(interval: Interval) -> float:
    """How far an interval of ratios reaches to either side, relatively."""
    return math.log(interval.high / interval.low) / 2


def bias(log_ratios: LogRatios, what: str, most: float = BIAS) -> str:
    """The doubt that a model provably differs from itself; empty when there is none.

    ``log_ratios`` are the sentinel's, the reference beside another process of itself. Its 95 %
    interval has to lie beyond ``most``: where noise alone is large the candidates' own intervals
    say so, and a difference that decides no gate is none.
    """
    interval = ratio_bounds(log_ratios, confidence=TWO_SIDED)
    if interval.low <= 1 + most and interval.high >= 1 - most:
        return ""
    ratio = math.exp(ratio_estimate(log_ratios)[0])
    return (
        f"the reference beside itself came out {ratio:.3f} times as fast on {what}, so ratios here "
        "are wrong by as much; run again on a machine with less to do"
    )


def tolerable(limit: float, ratio: float) -> float:
    """How far the sentinel may be off for a gate with this ``limit``, where ``ratio`` was found.

    ``BIAS``, or half the distance from 1 of a limit nearer than that: a gate that allows 1 % is
    not to be decided by a machine that is wrong by 1.5 %. A ratio that is farther from the limit
    than the limit from 1 may be wrong by half of that instead. Never below 0.2 %, which is as well
    as any ratio is known.
    """
    distance = max(abs(math.log(limit)), abs(math.log(ratio / limit)))
    return min(BIAS, max(_FINEST, distance / 2))


def hidden(candidate: Sequence[float], reference: Sequence[float], name: str) -> str:
    """The doubt that CPU time leaves out what a candidate does; empty when there is none.

    Both are wall over CPU time of a median call, by round. Busy cores stretch the two alike, in
    some round at least less than by a quarter; what waits, pages or works in other threads is
    longer than its reference in every one.
    """
    more = [mine / rival for mine, rival in zip(candidate, reference, strict=True)]
    if min(more, default=0.0) <= _WAITS:
        return ""
    return (
        f"{name}: a call takes {np.median(candidate):.2f} times its CPU time, and one of the "
        f"reference {np.median(reference):.2f} times; it waits or works outside the thread whose "
        "CPU time counts here, so measure by wall time, with two threads"
    )


def coarse(nanoseconds: npt.NDArray[np.float64], name: str) -> str:
    """The doubt that the clock ticks too rarely for these calls; empty when there is none.

    A clock of 10 ms gives calls of 9 and 9.5 ms the same time, and a ratio of exactly 1.
    """
    distinct = len(np.unique(nanoseconds))
    if distinct >= _DISTINCT or distinct * _REPEATS >= nanoseconds.size:
        return ""
    return (
        f"{name}: the clock told only {distinct} different times in {nanoseconds.size} calls; it "
        "is too coarse for this model, so measure on another system"
    )
