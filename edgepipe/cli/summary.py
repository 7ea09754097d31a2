"""What a run ends with: a table of the models, then the verdicts, then where things lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgepipe.bundle.printable import printable
from edgepipe.cli.console import table
from edgepipe.present import words

if TYPE_CHECKING:
    from edgepipe.measure.records import (
        ArmAccuracy,
        BenchmarkReport,
        CountsReport,
        ValidationReport,
    )
    from edgepipe.pipeline.report import RunReport

COLUMNS = (
    "accuracy", "drop", "agreement", "size", "operations", "memory", "latency", "speed-up",
)  # fmt: skip
Cells = dict[str, str]


def print_summary(report: RunReport, path: Path, bundles: Sequence[Path]) -> None:
    """Models with accuracy, size and speed; remarks; verdicts; paths."""
    from edgepipe.present.remarks import remarks

    print_models(report)
    for remark in remarks(report):
        click.echo(f"note: {printable(remark)}")
    print_verdicts(report)
    for bundle in bundles:
        click.echo(f"bundle:  {bundle}")
    click.echo(f"report:  {path}")


def print_verdicts(report: RunReport, *, err: bool = False) -> None:
    """One line a gate, the parts of those that did not pass, then all of them in one word."""
    for verdict in report.verdicts:
        click.echo(printable(words.sentence(verdict)), err=err)
        if verdict.outcome != "pass":
            for part in verdict.details:
                click.echo(f"             - {printable(part)}", err=err)
    click.echo(f"verdict: {report.verdict}", err=err)


def print_models(report: RunReport) -> None:
    """A row a model; columns that no step measured are left out."""
    models: dict[str, Cells] = {}
    for name, cells in _cells(report):
        models.setdefault(name, {}).update(cells)
    columns = [c for c in COLUMNS if any(c in row for row in models.values())]
    if columns:
        rows = ((name, *(row.get(c, "") for c in columns)) for name, row in models.items())
        table(("model", *columns), rows)


def _cells(report: RunReport) -> Iterator[tuple[str, Cells]]:
    for measured in report.measured.values():
        match measured.content:
            case "validation":
                yield from _accuracy(measured)
            case "benchmark":
                yield from _speed(measured)
            case "counts":
                yield from _counts(measured)


def _accuracy(report: ValidationReport) -> Iterable[tuple[str, Cells]]:
    for arm in (report.reference, *report.candidates):
        yield arm.name, _arm(arm)
    for comparison in report.comparisons:
        low, high = comparison.score.low, comparison.score.high
        yield (
            comparison.candidate,
            {
                "drop": f"{comparison.drop:+.1%} ({low:+.1%} to {high:+.1%})",
                "agreement": f"{comparison.agreement:.1%}",
            },
        )


def _arm(arm: ArmAccuracy) -> Cells:
    interval = f"{arm.interval.low:.1%} to {arm.interval.high:.1%}"
    return {
        "accuracy": f"{arm.accuracy:.1%} ({interval})",
        "size": words.figure(arm.bytes, "bytes"),
    }


def _speed(report: BenchmarkReport) -> Iterable[tuple[str, Cells]]:
    for arm in (report.reference, *report.candidates):
        yield arm.name, {"latency": words.figure(arm.p50_ms, "ms")}
    for found in report.speedups:
        interval = f"{found.interval.low:.2f} to {found.interval.high:.2f}"
        yield found.candidate, {"speed-up": f"{words.figure(found.ratio, 'ratio')} ({interval})"}


def _counts(report: CountsReport) -> Iterable[tuple[str, Cells]]:
    for arm in report.models:
        yield (
            arm.name,
            {
                "size": words.figure(arm.bytes, "bytes"),
                "operations": words.figure(arm.flops, "flops"),
                "memory": words.figure(arm.peak_memory_bytes, "bytes"),
            },
        )
