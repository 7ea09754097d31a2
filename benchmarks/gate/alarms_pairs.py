"""Gates against a baseline, made of pairs of recorded measurements: two runs, one reference."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from alarms_again import LIMIT, Gate

from edgepipe.measure.statistics import ratio_of_ratios_bounds


def against_baselines(gates: Sequence[Gate], unchanged: Sequence[Gate]) -> list[str]:
    """The outcome of each of ``gates`` against every *other* run of the model as it was.

    Both runs know the candidate relative to the same reference, as a gate with
    ``against = "baseline"`` does. A doubt of either run leaves it inconclusive.
    """
    return [
        _outcome(new, old)
        for new, old in itertools.product(gates, unchanged)
        if (new.slower, new.number) != (old.slower, old.number)
    ]


def _outcome(new: Gate, old: Gate) -> str:
    bounds = ratio_of_ratios_bounds(new.log_ratios, old.log_ratios, confidence=LIMIT.confidence)
    if new.doubts or old.doubts:
        return "inconclusive"
    if bounds.low >= LIMIT.min_ratio:
        return "pass"
    return "fail" if bounds.high < LIMIT.min_ratio else "inconclusive"
