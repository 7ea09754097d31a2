"""Candidates beside a reference: how fast each is, how many times faster, and how sure that is."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from edgepipe.artifacts import Split
from edgepipe.errors import StageError
from edgepipe.measure import stopping
from edgepipe.measure.child import Arm
from edgepipe.measure.machine import machine
from edgepipe.measure.models import Device
from edgepipe.measure.records import ArmTimes, BenchmarkReport, Roofline, ServerRate, Speedup
from edgepipe.measure.rounds import (
    ArmRound,
    Budget,
    Conditions,
    Progress,
    Session,
    Texts,
    silent,
)
from edgepipe.measure.statistics import (
    TWO_SIDED,
    percentile_bound,
    ratio_bounds,
    ratio_estimate,
)
from edgepipe.measure.stopping import Limit, reach

CONTROL = "the reference again"
EQUAL = 0.03
"""Candidates within this share of the fastest count as equally fast."""
GATE = Budget(round_seconds=0.8, round_blocks=8, seconds=60.0, together=True)
"""Short rounds, for a verdict within seconds where the model is small."""
_CHOICE = Budget(rounds=2, round_seconds=3.0, round_blocks=8)
_BUSY = 1.2
_MS = 1e-6
_S = 1e-9


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The figures of a comparison, candidates in their order."""

    reference: ArmTimes
    candidates: tuple[ArmTimes, ...]
    speedups: tuple[Speedup, ...]
    throughputs: tuple[Speedup, ...]
    """The same for batch calls; empty when there was no batch."""
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


def compare(  # noqa: PLR0913 (what to time, how, and until when)
    reference: Arm,
    candidates: Sequence[Arm],
    texts: Texts,
    conditions: Conditions,
    progress: Progress = silent,
    *,
    limits: Sequence[Limit] = (),
) -> Measured:
    """Every arm timed beside the others, in children of its own.

    Runs ``budget.rounds`` process rounds and goes on, within ``budget.seconds``, while the
    sentinel gives reason for doubt or too little is known: with ``limits``, whether each ratio
    meets its own (``stopping``); without, every ratio to a narrow 95 % interval. Raises StageError
    when a child fails or a limit is of no candidate.
    """
    _check(candidates, texts, limits)
    arms = (reference, replace(reference, name=CONTROL), *candidates)
    session = Session(arms, texts, conditions)
    begin = time.monotonic()
    _measure(session, begin, limits, progress)
    return figures(session, time.monotonic() - begin)


def figures(session: Session, seconds: float) -> Measured:
    """What the rounds of a session tell; its arms are the reference, ``CONTROL``, the candidates.

    At least two rounds. ``seconds`` is what they took.
    """
    arms = session.arms
    control, *speedups = (_speedup(session, index) for index in range(1, len(arms)))
    first, _, *others = (_times(session, index) for index in range(len(arms)))
    return Measured(
        reference=first,
        candidates=tuple(others),
        speedups=tuple(speedups),
        throughputs=tuple(_throughputs(session)),
        control=control,
        seconds=seconds,
        doubts=_doubts(session),
        remarks=_remarks(session, first, speedups),
    )


def report(  # noqa: PLR0913 (the parts of a report)
    measured: Measured,
    texts: Texts,
    conditions: Conditions,
    *,
    data: str,
    split: Split,
    server: Sequence[ServerRate] = (),
    roofline: Roofline | None = None,
) -> BenchmarkReport:
    """What was measured, with what it was measured on; ``data`` is a dataset's digest."""
    return BenchmarkReport(
        machine=machine(),
        device=conditions.device,
        threads=conditions.threads,
        clock=conditions.clock,
        data=data,
        split=split,
        texts=len(texts.single),
        texts_sha256=texts.sha256,
        batch=len(texts.batch),
        seed=conditions.seed,
        seconds=measured.seconds,
        reference=measured.reference,
        candidates=measured.candidates,
        speedups=measured.speedups,
        throughputs=measured.throughputs,
        server=tuple(server),
        control=measured.control,
        roofline=roofline,
        doubts=measured.doubts,
        remarks=measured.remarks,
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


def _check(arms: Sequence[Arm], texts: Texts, limits: Sequence[Limit] = ()) -> None:
    names = [arm.name for arm in arms]
    if not arms or not texts.single:
        raise StageError("there is nothing to time: no models or no texts")
    if len(set(names)) < len(names):
        raise StageError(f"models to time need different names, got {', '.join(names)}")
    for limit in limits:
        if limit.candidate not in names:
            raise StageError(f"a limit is set to {limit.candidate!r}, which is not timed")


def _measure(session: Session, begin: float, limits: Sequence[Limit], progress: Progress) -> None:
    budget = session.conditions.budget
    while len(session.rounds) < max(2, budget.rounds) or not _enough(session, begin, limits):
        total = max(budget.rounds, len(session.rounds) + 1)
        progress(len(session.rounds), total, f"{len(session.arms)} arms side by side")
        session.run_round()
    progress(len(session.rounds), len(session.rounds), "measured")


def _enough(session: Session, begin: float, limits: Sequence[Limit]) -> bool:
    spent = time.monotonic() - begin
    another = spent / len(session.rounds)
    if spent + another > session.conditions.budget.seconds:
        return True
    return not _doubts(session) and _known(session, limits)


def _known(session: Session, limits: Sequence[Limit]) -> bool:
    """Whether another round would tell anything that is asked."""
    half_width = session.conditions.budget.half_width
    by_name = {arm.name: index for index, arm in enumerate(session.arms)}
    if limits:
        return all(
            stopping.decided(log_ratios, limit)
            or stopping.at_the_limit(log_ratios, limit, half_width)
            for limit in limits
            for log_ratios in [session.log_ratios(0, by_name[limit.candidate])]
        )
    found = (_speedup(session, index) for index in range(1, len(session.arms)))
    return all(reach(speedup.interval) <= half_width for speedup in found)


def _speedup(session: Session, index: int) -> Speedup:
    return _ratio(session.arms[index].name, session.log_ratios(0, index))


def _throughputs(session: Session) -> Iterator[Speedup]:
    if session.texts.batch:
        for index in range(2, len(session.arms)):
            yield _ratio(session.arms[index].name, session.batch_log_ratios(0, index))


def _ratio(name: str, log_ratios: tuple[tuple[float, ...], ...]) -> Speedup:
    center, error = ratio_estimate(log_ratios)
    return Speedup(
        candidate=name,
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
        p90_ms=percentile_bound(wall, 90),
        p99_ms=percentile_bound(wall, 99),
        quantiles_ms=tuple(np.percentile(wall, range(101)).tolist()),
        cpu_p50_ms=_cpu_median_ms(rounds),
        texts_per_second=_throughput(session, rounds, "wall"),
        texts_per_cpu_second=_throughput(session, rounds, "cpu"),
        load_s=float(np.median([told.load_s for told in rounds if told.load_s is not None])),
        peak_memory_bytes=max(told.peak_memory for told in rounds),
    )


def _cpu_median_ms(rounds: Sequence[ArmRound]) -> float:
    return float(np.median(np.concatenate([told.times("cpu").ravel() for told in rounds]))) * _MS


def _median_ms(session: Session, index: int) -> float:
    times = [told[index].times(session.conditions.clock).ravel() for told in session.rounds]
    return float(np.median(np.concatenate(times))) * _MS


def _throughput(
    session: Session, rounds: Sequence[ArmRound], clock: Literal["cpu", "wall"]
) -> float:
    """Texts a second; 0 when there was no batch."""
    if not session.texts.batch:
        return 0.0
    calls = np.concatenate([told.batch_times(clock) for told in rounds])
    return len(session.texts.batch) / (float(np.median(calls)) * _S)


def _doubts(session: Session) -> tuple[str, ...]:
    clock = session.conditions.clock
    doubts = [stopping.bias(session.log_ratios(0, 1), "single texts")]
    if session.texts.batch:
        doubts.append(stopping.bias(session.batch_log_ratios(0, 1), "batches"))
    for index, arm in enumerate(session.arms):
        times = np.concatenate([told[index].times(clock).ravel() for told in session.rounds])
        doubts.append(stopping.coarse(times, arm.name))
    if clock == "cpu":
        reference = _wall_over_cpu(session, 0)
        for index, arm in enumerate(session.arms[2:], start=2):
            doubts.append(stopping.hidden(_wall_over_cpu(session, index), reference, arm.name))
    return tuple(filter(None, doubts))


def _wall_over_cpu(session: Session, index: int) -> list[float]:
    """The median over calls, by round."""
    return [
        float(np.median(told[index].times("wall") / told[index].times("cpu")))
        for told in session.rounds
    ]


def _remarks(session: Session, reference: ArmTimes, speedups: Sequence[Speedup]) -> tuple[str, ...]:
    limit = session.conditions.budget.half_width
    remarks = [
        f"{s.candidate}: the ratio is known to ±{reach(s.interval):.1%} only; measure for longer, "
        "or on a machine with less to do"
        for s in speedups
        if reach(s.interval) > limit
    ]
    if session.conditions.clock == "cpu" and reference.p50_ms > _BUSY * reference.cpu_p50_ms:
        remarks.append(
            f"wall times are {reference.p50_ms / reference.cpu_p50_ms:.2f} times CPU times: other "
            "programs used the cores; percentiles and throughput suffer, ratios hardly"
        )
    return tuple(remarks)
