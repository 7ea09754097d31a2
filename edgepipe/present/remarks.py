"""What a reader of the figures should know beside them."""

from __future__ import annotations

from collections.abc import Iterator

from edgepipe.measure.records import BenchmarkReport, CountsReport, ValidationReport
from edgepipe.pipeline.report import RunReport


def doubts(report: RunReport) -> tuple[str, ...]:
    """Reasons why clocks cannot be trusted here: their verdicts are inconclusive."""
    return tuple(
        doubt
        for measured in report.measured.values()
        if isinstance(measured, BenchmarkReport)
        for doubt in measured.doubts
    )


def remarks(report: RunReport) -> tuple[str, ...]:
    """Leaks between splits, cut texts, operators not counted, noisy clocks: a line each."""
    return (*_data(report), *_measured(report))


def _data(report: RunReport) -> Iterator[str]:
    for step in report.steps:
        if step.use == "data":
            yield from (
                f"{step.name}: {count} {what}" for what, count in step.notes.items() if count
            )


def _measured(report: RunReport) -> Iterator[str]:
    for measured in report.measured.values():
        match measured:
            case BenchmarkReport():
                yield from measured.remarks
            case ValidationReport():
                yield from _cut(measured)
            case CountsReport():
                for arm in measured.models:
                    if arm.uncounted:
                        what = ", ".join(arm.uncounted)
                        yield f"{arm.name}: operations of these are not counted: {what}"


def _cut(report: ValidationReport) -> Iterator[str]:
    """Texts longer than the reference reads, and than a candidate does that reads less."""
    told = f"of {report.examples} {report.split} texts"
    least = report.reference.truncated
    if least:
        yield f"{least} {told} are truncated"
    for arm in report.candidates:
        if arm.truncated > least:
            yield f"{arm.name}: {arm.truncated} {told} are truncated"
