"""Candidates beside a reference: how fast each is, how many times faster, and how sure that is."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from edgepipe.errors import StageError
from edgepipe.measure.child import Arm
from edgepipe.measure.models import Device
from edgepipe.measure.records import ArmTimes, Speedup
from edgepipe.measure.rounds import (
    ArmRound,
    Budget,
    Conditions,
    Progress,
    Session,
    Texts,
    silent,
)
from edgepipe.measure.statistics import TWO_SIDED, ratio_bounds, ratio_estimate

CONTROL = "the reference again"
EQUAL = 0.03
"""Candidates within this share of the fastest count as equally fast."""
_CHOICE = Budget(rounds=2, round_seconds=3.0, round_blocks=8)
_CONTROL_LIMIT = 0.02
_BUSY = 1.2
_MS = 1e-6
_S = 1e-9


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The figures of a comparison, candidates in their order."""

    reference: ArmTimes
    candidates: tuple[ArmTimes, ...]
    speedups: tuple[Speedup, ...]
    control: Speedup
    """The reference against a second process of itself."""
    seconds: float
    doubts: tuple[str, ...]
    remarks: tuple[str, ...]


class Choice(NamedTuple):
    """The arm that a choice by timing falls on, and the figures it rests on."""

    name: str
    figures: dict[str, dict[str, float]]
    """By arm: ``ms``, the median single text, and ``relative``, its time over the fastest's."""


def compare(
    reference: Arm,
    candidates: Sequence[Arm],
    texts: Texts,
    conditions: Conditions,
    progress: Progress = silent,
) -> Measured:
    """Every arm timed beside the others, in children of its own.

    Runs ``budget.rounds`` process rounds and goes on, within ``budget.seconds``, until every
    ratio's 95 % interval is narrow. Raises StageError when a child fails.
    """
    arms = (reference, replace(reference, name=CONTROL, batched=False), *candidates)
    _check(candidates, texts)
    session = Session(arms, texts, conditions)
    begin = time.monotonic()
    _measure(session, begin, progress)
    control, *speedups = (_speedup(session, index) for index in range(1, len(arms)))
    first, _, *others = (_times(session, index) for index in range(len(arms)))
    return Measured(
        reference=first,
        candidates=tuple(others),
        speedups=tuple(speedups),
        control=control,
        seconds=time.monotonic() - begin,
        doubts=_doubts(control),
        remarks=_remarks(session, first, speedups),
    )


def fastest(  # noqa: PLR0913 (a stage has these at hand, one by one)
    arms: Sequence[Arm],
    texts: Sequence[str],
    *,
    threads: int,
    seed: int,
    device: Device = "cpu",
    budget: Budget = _CHOICE,
) -> Choice:
    """The first listed arm among those that are within ``EQUAL`` of the fastest on single texts."""
    conditions = Conditions(device=device, threads=threads, seed=seed, budget=budget)
    _check(arms, Texts(texts))
    session = Session(arms, Texts(texts), conditions)
    for _ in range(budget.rounds):
        session.run_round()
    slower = [
        -ratio_estimate(session.log_ratios(0, index))[0] if index else 0.0
        for index in range(len(arms))
    ]
    relative = [math.exp(s - min(slower)) for s in slower]
    chosen = next(arm for arm, r in zip(arms, relative, strict=True) if r <= 1 + EQUAL)
    figures = {
        arm.name: {"ms": _median_ms(session, index), "relative": relative[index]}
        for index, arm in enumerate(arms)
    }
    return Choice(chosen.name, figures)


def _check(arms: Sequence[Arm], texts: Texts) -> None:
    names = [arm.name for arm in arms]
    if not arms or not texts.single:
        raise StageError("there is nothing to time: no models or no texts")
    if len(set(names)) < len(names):
        raise StageError(f"models to time need different names, got {', '.join(names)}")


def _measure(session: Session, begin: float, progress: Progress) -> None:
    budget = session.conditions.budget
    while len(session.rounds) < max(2, budget.rounds) or not _enough(session, begin):
        total = max(budget.rounds, len(session.rounds) + 1)
        progress(len(session.rounds), total, f"{len(session.arms)} arms side by side")
        session.run_round()
    progress(len(session.rounds), len(session.rounds), "measured")


def _enough(session: Session, begin: float) -> bool:
    spent = time.monotonic() - begin
    budget = session.conditions.budget
    widest = max(_half_width(_speedup(session, index)) for index in range(1, len(session.arms)))
    another = spent / len(session.rounds)
    return widest <= budget.half_width or spent + another > budget.seconds


def _half_width(speedup: Speedup) -> float:
    return math.log(speedup.interval.high / speedup.interval.low) / 2


def _speedup(session: Session, index: int) -> Speedup:
    log_ratios = session.log_ratios(0, index)
    center, error = ratio_estimate(log_ratios)
    return Speedup(
        candidate=session.arms[index].name,
        ratio=math.exp(center),
        interval=ratio_bounds(log_ratios, confidence=TWO_SIDED),
        standard_error=error,
        degrees_of_freedom=len(log_ratios) - 1,
        log_ratios=log_ratios,
    )


def _times(session: Session, index: int) -> ArmTimes:
    arm = session.arms[index]
    rounds = [told[index] for told in session.rounds]
    wall = np.concatenate([told.times("wall").ravel() for told in rounds]) * _MS
    return ArmTimes(
        name=arm.name,
        digest=arm.digest,
        device=arm.device,
        bytes=arm.bytes,
        calls=wall.size,
        p50_ms=float(np.percentile(wall, 50)),
        p90_ms=float(np.percentile(wall, 90)),
        p99_ms=float(np.percentile(wall, 99)) if wall.size >= 662 else None,
        quantiles_ms=tuple(np.percentile(wall, range(101)).tolist()),
        cpu_p50_ms=_cpu_median_ms(rounds),
        texts_per_second=_throughput(session, [b.batch.wall_ns for b in rounds if b.batch]),
        texts_per_cpu_second=_throughput(session, [b.batch.cpu_ns for b in rounds if b.batch]),
        load_s=float(np.median([told.load_s for told in rounds])),
        peak_memory_bytes=max(told.peak_memory for told in rounds),
    )


def _cpu_median_ms(rounds: Sequence[ArmRound]) -> float:
    return float(np.median(np.concatenate([told.times("cpu").ravel() for told in rounds]))) * _MS


def _median_ms(session: Session, index: int) -> float:
    times = [told[index].times(session.conditions.clock).ravel() for told in session.rounds]
    return float(np.median(np.concatenate(times))) * _MS


def _throughput(session: Session, nanoseconds: Sequence[int]) -> float:
    if not nanoseconds:
        return 0.0
    return len(session.texts.batch) / (max(float(np.median(nanoseconds)), 1.0) * _S)


def _doubts(control: Speedup) -> tuple[str, ...]:
    """The reference provably differs from itself by more than a measurement may be wrong."""
    if control.interval.low <= 1 + _CONTROL_LIMIT and control.interval.high >= 1 - _CONTROL_LIMIT:
        return ()
    doubt = (
        f"the reference beside itself came out {control.ratio:.3f} times as fast, so ratios here "
        "are wrong by as much; run again on a machine with less to do"
    )
    return (doubt,)


def _remarks(session: Session, reference: ArmTimes, speedups: Sequence[Speedup]) -> tuple[str, ...]:
    limit = session.conditions.budget.half_width
    remarks = [
        f"{s.candidate}: the ratio is known to ±{_half_width(s):.1%} only; measure for longer, "
        "or on a machine with less to do"
        for s in speedups
        if _half_width(s) > limit
    ]
    if session.conditions.clock == "cpu" and reference.p50_ms > _BUSY * reference.cpu_p50_ms:
        remarks.append(
            f"wall times are {reference.p50_ms / reference.cpu_p50_ms:.2f} times CPU times: other "
            "programs used the cores; percentiles and throughput suffer, ratios hardly"
        )
    return tuple(remarks)
