"""How many examples a margin needs, before anything is run."""

from __future__ import annotations

import math

from edgepipe.measure.statistics import needed_examples, normal_quantile

FLIP_RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Shares of the texts that two models answer differently."""
POWER = 0.9


def for_drop(margin: float, *, confidence: float) -> tuple[int | None, ...]:
    """Examples that a candidate which loses nothing needs to pass 9 times in 10, by flip rate.

    ``n = (z_confidence + z_power)² rate / margin²``, 8.56 rate / margin² at 95 %: the paired test
    of non-inferiority (Tango 1998) in large samples. None: no number is enough.
    """
    if margin <= 0:
        return (None,) * len(FLIP_RATES)
    return tuple(
        needed_examples(rate, margin, confidence=confidence, power=POWER) for rate in FLIP_RATES
    )


def for_agreement(least: float, *, confidence: float) -> tuple[int | None, ...]:
    """Texts on which models that disagree at each flip rate show ``least`` 9 times in 10.

    ``n = ((z_confidence sqrt(q (1 - q)) + z_power sqrt(p (1 - p))) / (p - q))²`` with ``q`` for
    ``least`` and ``p`` for the agreement: the score test of one proportion (Fleiss, Levin and
    Paik, "Statistical methods for rates and proportions", 2003). None: no number is enough.
    """
    return tuple(_for_share(1 - rate, least, confidence) for rate in FLIP_RATES)


def _for_share(share: float, least: float, confidence: float) -> int | None:
    if share <= least:
        return None
    null = normal_quantile(confidence) * math.sqrt(least * (1 - least))
    alternative = normal_quantile(POWER) * math.sqrt(share * (1 - share))
    return math.ceil(((null + alternative) / (share - least)) ** 2)
