"""What a reader of the figures should know beside them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgepipe.measure.paired import counts
from edgepipe.measure.records import BenchmarkReport, CountsReport, ValidationReport
from edgepipe.measure.statistics import mcnemar
from edgepipe.pipeline.report import RunReport
from edgepipe.present import words

_ERROR = 0.05


def doubts(report: RunReport) -> tuple[str, ...]:
    """Reasons why clocks cannot be trusted here: their verdicts are inconclusive."""
    return tuple(
        doubt
        for measured in report.measured.values()
        if isinstance(measured, BenchmarkReport)
        for doubt in measured.doubts
    )


def remarks(report: RunReport) -> tuple[str, ...]:
    """What is odd about data, reference, texts, counts and clocks: a line each."""
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
                yield from _guessing(measured)
                yield from _cut(measured)
            case CountsReport():
                for arm in measured.models:
                    if arm.uncounted:
                        what = ", ".join(arm.uncounted)
                        yield f"{arm.name}: operations of these are not counted: {what}"


def _guessing(report: ValidationReport) -> Iterator[str]:
    """A reference that is not provably better than always giving the commonest label.

    Both answer the same texts: McNemar's exact test, one-sided at 95 %.
    """
    if not report.examples:
        return
    truth, reference = report.labels_of_texts(), report.reference
    commonest = int(np.bincount(truth).argmax())
    guesses = np.full_like(truth, commonest)
    b, c, n, _ = counts(truth, report.answers_of(reference.name), guesses)
    if b > c and mcnemar(b, c) / 2 <= _ERROR:
        return
    mine = words.figure(reference.accuracy, "share")
    guess = words.figure(float((truth == commonest).mean()), "share")
    yield (
        f"{reference.name}: its accuracy of {mine} on {n} {report.split} texts is not provably "
        f"better than always answering {report.labels[commonest]!r}, {guess}: "
        "losing nothing against it proves little"
    )


def _cut(report: ValidationReport) -> Iterator[str]:
    """Texts longer than the reference reads, and than a candidate does that reads less."""
    told = f"of {report.examples} {report.split} texts"
    least = report.reference.truncated
    if least:
        yield f"{least} {told} are truncated"
    for arm in report.candidates:
        if arm.truncated > least:
            yield f"{arm.name}: {arm.truncated} {told} are truncated"
