"""MLPerf's server scenario: Poisson arrivals at one session, and the highest rate that holds.

Single stream and offline come out of ``latency``.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgepipe.measure.child import Arm, Child, running
from edgepipe.measure.records import ServerRate
from edgepipe.measure.rounds import Conditions
from edgepipe.measure.statistics import percentile_bound, percentile_needs

_MORE = 1.25
"""Queries over those that the percentile needs, at least: some may then be late by chance."""
_MOST = 4096
_TRIES = 8
_CLOSE = 0.05
_CALIBRATION = 50
_WARM_UP = 10
_NS = 1e-9


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What a server promises."""

    ms: float
    percentile: Literal[90, 99] = 99
    seconds: float = 15.0
    """For the search with one model: no trial begins that would end after it."""


def highest_rate(
    arm: Arm, texts: Sequence[str], bound: Bound, conditions: Conditions
) -> ServerRate:
    """The highest rate of Poisson arrivals whose percentile of latency is within the bound.

    One session in one process answers one text after the other, by the clock on the wall. A rate
    holds when LoadGen's early-stopping statistic does (``percentile_bound``). Rates are tried by
    bisection up to that of a session that never waits, with the same gaps between arrivals in
    every trial, scaled. Raises StageError when the child fails.
    """
    with running(arm, threads=conditions.threads) as child:
        child.load("process")
        end = time.monotonic() + bound.seconds
        capacity = _capacity(child, texts)
        trials = _Trials(child, texts, bound, _queries(bound, capacity), conditions.seed)
        return _search(arm.name, trials, capacity, end)


def remark(rate: ServerRate) -> str:
    """Why nothing held, as far as can be told; empty when a rate did."""
    if rate.held:
        return ""
    return (
        f"{rate.name}: no rate that was tried held within {rate.bound_ms:g} ms; the bound is too "
        "tight for this model or machine, or a lower rate would have taken more `seconds`"
    )


def _capacity(child: Child, texts: Sequence[str]) -> float:
    """Texts a second of a session that never waits."""
    asked = list(itertools.islice(itertools.cycle(texts), _CALIBRATION))
    return 1 / (max(float(np.mean(child.block(asked, _WARM_UP).wall_ns)), 1.0) * _NS)


def _queries(bound: Bound, capacity: float) -> int:
    """As many as let all trials end in time, at half the capacity; more tell a rate better."""
    in_time = int(bound.seconds / _TRIES * capacity / 2)
    return max(int(_MORE * percentile_needs(bound.percentile)), min(in_time, _MOST))


class _Trials:
    """One child asked at one rate after the other."""

    def __init__(
        self, child: Child, texts: Sequence[str], bound: Bound, queries: int, seed: int
    ) -> None:
        random = np.random.default_rng(seed)
        self.bound = bound
        self.queries = queries
        self._child = child
        self._texts = [texts[i] for i in random.integers(0, len(texts), queries).tolist()]
        self._gaps = random.exponential(1.0, queries)
        self._late = _allowed(queries, bound.percentile)

    def holds(self, rate: float) -> bool:
        """Whether the percentile of latency is within the bound at this rate."""
        arrivals = np.cumsum(self._gaps / rate / _NS).astype(np.int64).tolist()
        bound_ns = int(self.bound.ms * 1e6)
        found = self._child.serve(self._texts, arrivals, bound_ns=bound_ns, late=self._late)
        if len(found) < self.queries:
            return False
        bounded = percentile_bound(found, self.bound.percentile)
        return bounded is not None and bounded <= bound_ns


def _allowed(queries: int, percentile: float) -> int:
    """How many queries may be late: the order statistic of 0, 1, 2, … tells its own place."""
    place = percentile_bound(range(queries), percentile)
    return queries - 1 - int(place or 0)


def _search(name: str, trials: _Trials, top: float, end: float) -> ServerRate:
    held, refused, rate = 0.0, None, top / 2
    for _ in range(_TRIES):
        if time.monotonic() + trials.queries / rate > end:
            break
        if trials.holds(rate):
            held = rate
        else:
            refused = top = rate
        if top - held <= _CLOSE * top:
            break
        rate = (held + top) / 2
    return ServerRate(
        name=name,
        bound_ms=trials.bound.ms,
        percentile=trials.bound.percentile,
        held=held,
        refused=refused,
        queries=trials.queries if held else 0,
    )
