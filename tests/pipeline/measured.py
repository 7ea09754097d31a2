"""Reports made by hand, for gates to be judged on."""

from __future__ import annotations

from collections.abc import Sequence

from edgepipe.measure.machine import machine
from edgepipe.measure.records import (
    ArmAccuracy,
    ArmTimes,
    BenchmarkReport,
    Comparison,
    Interval,
    Speedup,
    ValidationReport,
)

SOME = Interval(low=0.4, high=0.6)


def arm(name: str, size: int = 100) -> ArmAccuracy:
    return ArmAccuracy(
        name=name, digest="d", precision="fp32", device="cpu", correct=1, accuracy=0.5,
        interval=SOME, macro_f1=0.5, confusion=(), truncated=0, classes=(), files={"m": size},
        bytes=size,
    )  # fmt: skip


def validation(  # noqa: PLR0913 - counts by name
    reference_only: int = 0,
    candidate_only: int = 0,
    examples: int = 2000,
    *,
    flipped: int = 0,
    size: int = 25,
    names: tuple[str, str] = ("teacher", "int8"),
) -> ValidationReport:
    """The candidate against the reference; the counts are what gates look at."""
    comparison = Comparison(
        candidate=names[1],
        examples=examples,
        reference_only=reference_only,
        candidate_only=candidate_only,
        drop=(reference_only - candidate_only) / examples,
        bootstrap=SOME,
        score=SOME,
        mcnemar_p=1.0,
        agreement=(examples - flipped) / examples,
        agreement_interval=SOME,
        flipped=flipped,
        flips=(),
    )
    return ValidationReport(
        data="d", split="test", labels=("no", "yes"), examples=examples, seed=0, resamples=99,
        reference=arm(names[0]), candidates=(arm(names[1], size),), comparisons=(comparison,),
    )  # fmt: skip


def times(name: str) -> ArmTimes:
    return ArmTimes(
        name=name, digest="d", device="cpu", bytes=7, calls=20, p50_ms=1.0, p90_ms=2.0,
        p99_ms=None, cpu_p50_ms=0.9, texts_per_second=900.0, texts_per_cpu_second=950.0,
        load_s=0.3, peak_memory_bytes=1000,
    )  # fmt: skip


def benchmark(
    log_ratios: Sequence[Sequence[float]],
    *,
    ratio: float = 8.0,
    doubts: tuple[str, ...] = (),
    name: str = "int8",
) -> BenchmarkReport:
    speedup = Speedup(
        candidate=name, ratio=ratio, interval=SOME, standard_error=0.01,
        degrees_of_freedom=len(log_ratios) - 1, log_ratios=tuple(map(tuple, log_ratios)),
    )  # fmt: skip
    return BenchmarkReport(
        machine=machine(), device="cpu", threads=1, clock="cpu", data="d", split="validation",
        texts=10, batch=5, seed=0, seconds=1.5, reference=times("teacher"),
        candidates=(times(name),), speedups=(speedup,), control=speedup, doubts=doubts,
    )  # fmt: skip
