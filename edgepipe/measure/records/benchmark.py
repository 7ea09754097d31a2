"""What a benchmark step leaves: clocks, and what they are worth."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edgepipe.artifacts import Split
from edgepipe.measure.machine import Machine
from edgepipe.measure.models import Device
from edgepipe.measure.records.base import (
    Above0,
    Bytes,
    Count,
    Interval,
    NotNegative,
    Record,
    ReportBase,
    arm_of,
)

PLAIN = " (plain session)"
"""Behind a candidate's name: the same model with onnxruntime's default session options."""
LogRatio = Annotated[float, Field(ge=-50, le=50)]
"""Beyond ``e ** 50`` no two clocks differ, and exponentials begin to overflow."""


class Floor(Record):
    """The least time that one core's peaks allow for a mean text of the benchmark."""

    fp32_flops: NotNegative
    int8_ops: NotNegative
    weight_bytes: Bytes
    """That one text reads: of tables its own rows."""
    ms: NotNegative
    share: NotNegative
    """The floor over the median CPU time measured: 1 would be all that the machine can give."""


class ArmTimes(Record):
    """How fast one model answers."""

    name: str
    digest: str
    device: Device
    bytes: Bytes
    """Of every file that ships."""
    calls: Count
    """Timed calls with a single text."""
    p50_ms: NotNegative
    """Wall time of a single text, like the other percentiles."""
    p90_ms: NotNegative | None
    """Like p99: the order statistic that bounds the percentile from above with 99 % confidence, as
    MLPerf LoadGen's early stopping takes it; None from too few calls (64 and 662)."""
    p99_ms: NotNegative | None
    quantiles_ms: Annotated[tuple[NotNegative, ...], Field(min_length=101, max_length=101)]
    """Wall time at 0, 1, …, 100 %, to be drawn."""
    cpu_p50_ms: NotNegative
    texts_per_second: NotNegative
    """Offline, on batch calls with texts of mixed length, by wall time: the median call."""
    texts_per_cpu_second: NotNegative
    load_s: NotNegative
    """From a bare interpreter to a loaded model, imports included: the median of those
    processes that loaded alone."""
    peak_memory_bytes: Bytes
    floor: Floor | None = None
    """None for what is no ONNX graph, and on CUDA."""


class Speedup(Record):
    """How many times faster a candidate is than the reference."""

    candidate: str
    ratio: Above0
    """Reference time over candidate time."""
    interval: Interval
    standard_error: NotNegative
    """Of the ratio's natural logarithm."""
    degrees_of_freedom: Annotated[int, Field(ge=1, le=100_000_000)]
    """Of Student's t for that error: one less than the process rounds."""
    log_ratios: Annotated[
        tuple[Annotated[tuple[LogRatio, ...], Field(min_length=1)], ...], Field(min_length=2)
    ]
    """``ln(reference / candidate)`` of every block, by process round, for bounds at any level."""


class ServerRate(Record):
    """Poisson arrivals at one session, answered one by one: the highest rate that holds."""

    name: str
    bound_ms: Above0
    percentile: Annotated[float, Field(gt=0, lt=100)]
    """Of the queries that have to be answered within the bound, with 99 % confidence (LoadGen's
    early stopping)."""
    held: NotNegative
    """The highest rate tried that held, in texts per second; 0 when none did."""
    refused: NotNegative | None
    """The lowest rate tried at which the percentile provably lies over the bound, with 99 %
    confidence; None when none was. Rates between ``held`` and this are undecided: that early
    stopping proves nothing for a rate is no proof against it."""
    queries: Count
    """At ``held``."""


class Roofline(Record):
    """What one core of this machine gives at most, measured in the same run."""

    fp32_flops_per_s: NotNegative
    int8_ops_per_s: NotNegative
    bytes_per_s: NotNegative
    """Read from memory."""


class BenchmarkReport(ReportBase):
    """Speed of a reference and of candidates on one machine. Never compared across machines."""

    content: Literal["benchmark"] = "benchmark"
    machine: Machine
    device: Device
    threads: Count
    clock: Literal["cpu", "wall"]
    """What the ratios are made of: CPU time with one CPU thread, else wall time."""
    data: str
    split: Split
    texts: Count
    """Different texts that were answered one by one."""
    texts_sha256: str
    """Of the texts timed, in order: clocks on other texts are other clocks."""
    batch: Count
    """Texts in one call for throughput."""
    seed: int
    seconds: NotNegative
    """What the measurement took."""
    reference: ArmTimes
    candidates: tuple[ArmTimes, ...]
    speedups: tuple[Speedup, ...]
    """Single stream: one for each candidate, in their order."""
    throughputs: tuple[Speedup, ...] = ()
    """Offline: the same for batch calls; empty where they were not measured."""
    server: tuple[ServerRate, ...] = ()
    """One for each arm, the reference first; empty where it was not measured."""
    control: Speedup
    """The A/A sentinel, the reference against itself in another process: how wrong a ratio is."""
    roofline: Roofline | None = None
    doubts: tuple[str, ...] = ()
    """Reasons why the intervals themselves may be wrong: every verdict on clocks is inconclusive.
    Empty when there are none."""
    remarks: tuple[str, ...] = ()
    """Worth knowing, and no reason for doubt: wide intervals, busy cores."""

    @property
    def arms(self) -> tuple[ArmTimes, ...]:
        """The reference, then the candidates."""
        return (self.reference, *self.candidates)

    def arm(self, name: str) -> ArmTimes:
        """The reference or candidate of that name; ValueError without one."""
        return arm_of(self.arms, name)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [arm.name for arm in self.candidates]
        for found in (self.speedups, self.throughputs):
            if found and [s.candidate for s in found] != names:
                raise ValueError("speed-ups and candidates differ")
        return self
