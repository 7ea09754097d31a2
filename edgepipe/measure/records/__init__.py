"""``report.json``: what was measured, as versioned models that outlive the code that wrote them."""

from __future__ import annotations

from pathlib import Path

from edgepipe.errors import BundleError
from edgepipe.measure.records.base import (
    PROBABILITIES,
    REPORT,
    SCHEMA,
    Estimate,
    Interval,
    Ints,
    Record,
    loaded,
    packed,
    unpacked,
    validated,
)
from edgepipe.measure.records.benchmark import (
    PLAIN,
    ArmTimes,
    BenchmarkReport,
    Floor,
    Roofline,
    ServerRate,
    Speedup,
)
from edgepipe.measure.records.counts import ArmCounts, CountsReport
from edgepipe.measure.records.validation import (
    Agreement,
    ArmAccuracy,
    Bin,
    Calibration,
    ClassScores,
    Comparison,
    ExplainedText,
    Explanation,
    Flip,
    SliceBy,
    SliceFigures,
    ValidationReport,
)

__all__ = [
    "PLAIN",
    "PROBABILITIES",
    "REFERENCE",
    "REPORT",
    "SCHEMA",
    "Agreement",
    "ArmAccuracy",
    "ArmCounts",
    "ArmTimes",
    "BenchmarkReport",
    "Bin",
    "Calibration",
    "ClassScores",
    "Comparison",
    "CountsReport",
    "Estimate",
    "ExplainedText",
    "Explanation",
    "Flip",
    "Floor",
    "Interval",
    "Ints",
    "Measured",
    "Record",
    "Roofline",
    "ServerRate",
    "SliceBy",
    "SliceFigures",
    "Speedup",
    "ValidationReport",
    "named",
    "packed",
    "read",
    "unpacked",
]

Measured = ValidationReport | BenchmarkReport | CountsReport
REFERENCE = "the reference"
"""The name of the reference's own figures; a candidate may well be a step called "reference"."""


def read(path: Path) -> Measured:
    """The report at ``path``; BundleError on an unknown schema or content, or damage."""
    found = loaded(path)
    match found.get("content"):
        case "validation":
            return validated(ValidationReport, found, path)
        case "benchmark":
            return validated(BenchmarkReport, found, path)
        case "counts":
            return validated(CountsReport, found, path)
        case unknown:
            raise BundleError(f"{path} holds {unknown!r}, which is no kind of report")


def named(report: Measured, reference: str) -> Measured:
    """``report`` with the reference, if it has one, under the name that its pipeline gives it."""
    if isinstance(report, CountsReport):
        return report
    arm = report.reference.model_copy(update={"name": reference})
    update: dict[str, object] = {"reference": arm}
    if isinstance(report, BenchmarkReport):
        update["server"] = tuple(
            rate.model_copy(update={"name": reference}) if rate.name == REFERENCE else rate
            for rate in report.server
        )
    return report.model_copy(update=update)
