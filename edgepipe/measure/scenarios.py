"""MLPerf's server scenario: Poisson arrivals at one session, and the highest rate that holds.

Single stream and offline come out of ``latency``.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from edgepipe.measure.child import Arm, Child, running
from edgepipe.measure.records import ServerRate
from edgepipe.measure.rounds import Conditions
from edgepipe.measure.statistics import percentile_bound, percentile_needs, percentile_rank

_MORE = 1.25
"""Queries over those that the percentile needs, at least: some may then be late by chance."""
_MOST = 4096
_TRIES = 8
_CLOSE = 0.05
_CALIBRATION = 50
_WARM_UP = 10
_NS = 1e-9
Outcome = Literal["held", "undecided", "refused"]


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
    holds when LoadGen's early-stopping statistic does (``percentile_bound``), and is refused when
    so many queries were late that the percentile lies over the bound with the same confidence
    (``percentile_rank``); between, it is undecided. Rates are tried by bisection up to that of a
    session that never waits, with the same gaps between arrivals in every trial, scaled. Raises
    StageError when the child fails.
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
        self._allowed = _allowed(queries, bound.percentile)
        self._proof = percentile_rank(queries, bound.percentile)

    def outcome(self, rate: float) -> Outcome:
        """What latencies at this rate prove of their percentile."""
        arrivals = np.cumsum(self._gaps / rate / _NS).astype(np.int64).tolist()
        bound_ns = int(self.bound.ms * 1e6)
        found = self._child.serve(
            self._texts, arrivals, bound_ns=bound_ns, late=max(0, self._proof - 1)
        )
        late = sum(ns > bound_ns for ns in found)
        if late <= self._allowed:
            return "held"
        return "refused" if late >= self._proof else "undecided"


def _allowed(queries: int, percentile: float) -> int:
    """How many queries may be late: the order statistic of 0, 1, 2, … tells its own place."""
    place = percentile_bound(range(queries), percentile)
    return queries - 1 - int(place or 0)


class _Found(NamedTuple):
    """The rates that are known after some trials."""

    top: float
    """That of a session that never waits."""
    held: float = 0.0
    failed: float | None = None
    """The lowest that did not hold, proven or not."""
    unproven: float = 0.0
    """The highest over ``failed`` that is no proof either."""
    refused: float | None = None

    def next(self) -> float | None:
        """The rate to try: between held and failed until they are close, then up to a proof."""
        failed = self.failed or self.top
        if failed - self.held > _CLOSE * failed:
            return (self.held + failed) / 2
        low, high = max(failed, self.unproven), self.refused or self.top
        return (low + high) / 2 if high - low > _CLOSE * high else None

    def after(self, rate: float, outcome: Outcome) -> _Found:
        """With one more trial, at the rate that was next."""
        if outcome == "refused":
            return self._replace(failed=min(rate, self.failed or rate), refused=rate)
        if self.failed is not None and rate > self.failed:
            return self._replace(unproven=rate)
        return self._replace(held=rate) if outcome == "held" else self._replace(failed=rate)


def _search(name: str, trials: _Trials, top: float, end: float) -> ServerRate:
    found = _Found(top)
    for _ in range(_TRIES):
        rate = found.next()
        if rate is None or time.monotonic() + trials.queries / rate > end:
            break
        found = found.after(rate, trials.outcome(rate))
    return ServerRate(
        name=name,
        bound_ms=trials.bound.ms,
        percentile=trials.bound.percentile,
        held=found.held,
        refused=found.refused,
        queries=trials.queries if found.held else 0,
    )
