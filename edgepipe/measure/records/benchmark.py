"""What a benchmark step leaves: clocks, and what they are worth."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from edgepipe.artifacts import Split
from edgepipe.measure.machine import Machine
from edgepipe.measure.records.base import Interval, Record, ReportBase

PLAIN = " (plain session)"
"""Behind a candidate's name: the same model with onnxruntime's default session options."""
Device = Literal["cpu", "cuda"]


class Floor(Record):
    """The least time that one core's peaks allow for a mean text of the benchmark."""

    fp32_flops: float
    int8_ops: float
    weight_bytes: int
    """That one text reads: of tables its own rows."""
    ms: float
    share: float
    """The floor over the median CPU time measured: 1 would be all that the machine can give."""


class ArmTimes(Record):
    """How fast one model answers."""

    name: str
    digest: str
    device: Device
    bytes: int
    """Of every file that ships."""
    calls: int
    """Timed calls with a single text."""
    p50_ms: float
    """Wall time of a single text, like the other percentiles."""
    p90_ms: float | None
    """Like p99: the order statistic that bounds the percentile from above with 99 % confidence, as
    MLPerf LoadGen's early stopping takes it; None from too few calls (64 and 662)."""
    p99_ms: float | None
    quantiles_ms: tuple[float, ...]
    """Wall time at 0, 1, …, 100 %, to be drawn."""
    cpu_p50_ms: float
    texts_per_second: float
    """Offline, on batch calls with texts of mixed length, by wall time: the median call."""
    texts_per_cpu_second: float
    load_s: float
    """From a bare interpreter to a loaded model, imports included: the median of those
    processes that loaded alone."""
    peak_memory_bytes: int
    floor: Floor | None = None
    """None for what is no ONNX graph, and on CUDA."""


class Speedup(Record):
    """How many times faster a candidate is than the reference."""

    candidate: str
    ratio: float
    """Reference time over candidate time."""
    interval: Interval
    standard_error: float
    """Of the ratio's natural logarithm."""
    degrees_of_freedom: int
    """Of Student's t for that error: one less than the process rounds."""
    log_ratios: tuple[tuple[float, ...], ...]
    """``ln(reference / candidate)`` of every block, by process round, for bounds at any level."""


class ServerRate(Record):
    """Poisson arrivals at one session, answered one by one: the highest rate that holds."""

    name: str
    bound_ms: float
    percentile: float
    """Of the queries that have to be answered within the bound, with 99 % confidence (LoadGen's
    early stopping)."""
    held: float
    """The highest rate tried that held, in texts per second; 0 when none did."""
    refused: float | None
    """The lowest rate tried above it that did not; None when every one held."""
    queries: int
    """At ``held``."""


class Roofline(Record):
    """What one core of this machine gives at most, measured in the same run."""

    fp32_flops_per_s: float
    int8_ops_per_s: float
    bytes_per_s: float
    """Read from memory."""


class BenchmarkReport(ReportBase):
    """Speed of a reference and of candidates on one machine. Never compared across machines."""

    content: Literal["benchmark"] = "benchmark"
    machine: Machine
    device: Device
    threads: int
    clock: Literal["cpu", "wall"]
    """What the ratios are made of: CPU time with one CPU thread, else wall time."""
    data: str
    split: Split
    texts: int
    """Different texts that were answered one by one."""
    texts_sha256: str
    """Of the texts timed, in order: clocks on other texts are other clocks."""
    batch: int
    """Texts in one call for throughput."""
    seed: int
    seconds: float
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

    def arm(self, name: str) -> ArmTimes:
        """The reference or candidate of that name; ValueError without one."""
        for arm in (self.reference, *self.candidates):
            if arm.name == name:
                return arm
        raise ValueError(f"there is no {name!r}")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [arm.name for arm in self.candidates]
        for found in (self.speedups, self.throughputs):
            if found and [s.candidate for s in found] != names:
                raise ValueError("speed-ups and candidates differ")
        return self
