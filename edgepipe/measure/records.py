"""``report.json``: what was measured, as versioned models that outlive the code that wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgepipe import disk
from edgepipe.artifacts import Split
from edgepipe.errors import BundleError
from edgepipe.measure.machine import Machine

REPORT = "report.json"
SCHEMA: Literal[1] = 1
P99_CALLS = 662
"""Calls below which a 99th percentile is not told (MLPerf LoadGen's minimum for one stream)."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class Interval(_Record):
    """Two bounds. In a report they are two-sided at 95 %; a function says its own confidence."""

    low: float
    high: float


class _Report(_Record):
    schema_version: Literal[1] = Field(default=SCHEMA, alias="schema")

    def write(self, path: Path) -> None:
        """``path`` holds this report as JSON, durably."""
        disk.write_json(path, self.model_dump(mode="json", by_alias=True))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The report at ``path``; BundleError when it is unreadable, damaged or of another kind."""
        return _validated(cls, _load(path), path)


R = TypeVar("R", bound=_Report)
PLAIN = " (plain session)"
"""Behind a candidate's name: the same model with onnxruntime's default session options."""
REFERENCE = "the reference"
"""The name of the reference's own figures; a candidate may well be a step called "reference"."""


class ClassScores(_Record):
    """How one class fared: precision is 0 if it was never answered, recall if it never occurs."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    """Examples of this class."""


class ArmAccuracy(_Record):
    """How one model answered the split."""

    name: str
    digest: str
    precision: str
    """Of the weights: fp32, fp16, int8 or q4."""
    device: Literal["cpu", "cuda"]
    correct: int
    accuracy: float
    interval: Interval
    """Wilson's."""
    macro_f1: float
    """Over the classes that occur in the split or in the answers."""
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    """``confusion[label][answer]``: counts."""
    truncated: int
    """Texts longer than the model reads."""
    files: dict[str, int]
    """Bytes of each file that ships, by its name in the artifact."""
    bytes: int
    """Their sum."""


class Flip(_Record):
    """A text that a candidate answers differently than the reference."""

    row: int
    """Line of the split's file, counted from 1."""
    text: str
    label: str
    reference: str
    candidate: str


class Comparison(_Record):
    """A candidate beside the reference on the same texts. The counts carry every later bound."""

    candidate: str
    examples: int
    reference_only: int
    """``b``: texts that only the reference answers rightly."""
    candidate_only: int
    """``c``: texts that only the candidate answers rightly."""
    drop: float
    """Reference accuracy minus candidate accuracy, ``(b - c) / examples``."""
    bootstrap: Interval
    """Of the drop, by resampling texts."""
    score: Interval
    """Of the drop, by Tango's score method; this is what gates use."""
    mcnemar_p: float
    """Exact and two-sided: how often chance alone splits ``b`` and ``c`` at least this unevenly."""
    agreement: float
    agreement_interval: Interval
    """Wilson's."""
    flipped: int
    """Texts with two different answers, all of them."""
    flips: tuple[Flip, ...]
    """The first of them."""


class ValidationReport(_Report):
    """Accuracy of a reference and of candidates on one split."""

    content: Literal["validation"] = "validation"
    data: str
    """Digest of the dataset."""
    split: Split
    labels: tuple[str, ...]
    examples: int
    seed: int
    resamples: int
    reference: ArmAccuracy
    candidates: tuple[ArmAccuracy, ...]
    comparisons: tuple[Comparison, ...]
    """One for each candidate, in their order."""


class ArmTimes(_Record):
    """How fast one model answers."""

    name: str
    digest: str
    device: Literal["cpu", "cuda"]
    bytes: int
    """Of every file that ships."""
    calls: int
    """Timed calls with a single text."""
    p50_ms: float
    """Wall time of a single text, like the other percentiles."""
    p90_ms: float
    p99_ms: float | None
    """None below ``P99_CALLS`` calls."""
    cpu_p50_ms: float
    texts_per_second: float
    """On one batch call with texts of mixed length, by wall time: the median call."""
    texts_per_cpu_second: float
    load_s: float
    """From a bare interpreter to a loaded model, imports included: the median process."""
    peak_memory_bytes: int


class Speedup(_Record):
    """How many times faster a candidate is than the reference, text by text."""

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


class BenchmarkReport(_Report):
    """Speed of a reference and of candidates on one machine. Never compared across machines."""

    content: Literal["benchmark"] = "benchmark"
    machine: Machine
    device: Literal["cpu", "cuda"]
    threads: int
    clock: Literal["cpu", "wall"]
    """What the ratios are made of: CPU time with one CPU thread, else wall time."""
    data: str
    split: Split
    texts: int
    """Different texts that were answered one by one."""
    batch: int
    """Texts in one call for throughput."""
    seed: int
    seconds: float
    """What the measurement took."""
    reference: ArmTimes
    candidates: tuple[ArmTimes, ...]
    speedups: tuple[Speedup, ...]
    """One for each candidate, in their order."""
    control: Speedup
    """The reference against itself in another process: how wrong a ratio can be here."""
    doubts: tuple[str, ...] = ()
    """Reasons why the intervals themselves may be wrong; empty when there are none."""
    remarks: tuple[str, ...] = ()
    """Worth knowing, and no reason for doubt: wide intervals, busy cores."""


def read(path: Path) -> ValidationReport | BenchmarkReport:
    """The report at ``path``; BundleError on an unknown schema or content, or damage."""
    found = _load(path)
    match found.get("content"):
        case "validation":
            return _validated(ValidationReport, found, path)
        case "benchmark":
            return _validated(BenchmarkReport, found, path)
        case unknown:
            raise BundleError(f"{path} holds {unknown!r}, not a validation or a benchmark")


def named(
    report: ValidationReport | BenchmarkReport, reference: str
) -> ValidationReport | BenchmarkReport:
    """``report`` with the reference under the name that its pipeline gives it."""
    arm = report.reference.model_copy(update={"name": reference})
    return report.model_copy(update={"reference": arm})


def _load(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} is no readable report: {error}") from error
    if not isinstance(found, dict):
        raise BundleError(f"{path} is damaged: not a JSON object")
    if found.get("schema") != SCHEMA:
        known = f"this edgepipe reads schema {SCHEMA}"
        raise BundleError(f"{path} has schema {found.get('schema')!r}; {known}")
    return found


def _validated(kind: type[R], found: dict[str, object], path: Path) -> R:
    try:
        return kind.model_validate_json(json.dumps(found))
    except ValidationError as error:
        raise BundleError(f"{path} is damaged: {error}") from error
