"""What a run ends with: a table of the models, then the verdicts, then where things lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgepipe.cli.console import table

if TYPE_CHECKING:
    from edgepipe.measure.records import ArmAccuracy, BenchmarkReport, ValidationReport
    from edgepipe.pipeline.verdict import Verdict
    from edgepipe.pipeline.report import RunReport

_MEGA = 1e6
Cells = dict[str, str]


def print_summary(report: RunReport, path: Path, bundles: Sequence[Path]) -> None:
    """Models with accuracy, size and speed; verdicts; paths."""
    models = _models(report)
    if models:
        columns = ("model", "accuracy", "drop", "agreement", "size", "latency", "speed-up")
        cells = ((name, *(row.get(c, "") for c in columns[1:])) for name, row in models.items())
        table(columns, cells)
    for remark in _remarks(report):
        click.echo(f"note: {remark}")
    for verdict in report.verdicts:
        click.echo(sentence(verdict))
    click.echo(f"verdict: {report.verdict}")
    for bundle in bundles:
        click.echo(f"bundle:  {bundle}")
    click.echo(f"report:  {path}")


def _remarks(report: RunReport) -> Iterator[str]:
    """What a reader of the figures should know: leaks between splits, cut texts, noisy clocks."""
    for step in report.steps:
        if step.use == "data":
            yield from (
                f"{step.name}: {count} {what}" for what, count in step.notes.items() if count
            )
    for measured in report.measured.values():
        if measured.content == "benchmark":
            yield from measured.remarks
        elif measured.reference.truncated:
            yield f"{measured.reference.truncated} of {measured.examples} test texts are truncated"


def sentence(verdict: Verdict) -> str:
    """One gate in one line: what was asked, what was found, how sure that is."""
    show = _percent if verdict.measure in ("accuracy", "agreement") else _plain
    what = {"accuracy": "accuracy drop", "latency": "speed-up"}.get(
        verdict.measure, verdict.measure
    )
    found = f"{what} {show(verdict.value)}"
    if verdict.confidence is not None:
        bounds = f"{show(verdict.low)} to {show(verdict.high)}"
        found += f" (one-sided bounds at {verdict.confidence:.0%}: {bounds})"
    note = f" [{verdict.note}]" if verdict.note else ""
    return (
        f"{verdict.outcome.upper():12} {verdict.of} against {verdict.against}: {found}; "
        f"{verdict.limit_is} {show(verdict.limit)} asked{note}"
    )


def _models(report: RunReport) -> dict[str, Cells]:
    rows: dict[str, Cells] = {}
    for measured in report.measured.values():
        found = _accuracy(measured) if measured.content == "validation" else _speed(measured)
        for name, cells in found:
            rows.setdefault(name, {}).update(cells)
    return rows


def _accuracy(report: ValidationReport) -> Iterator[tuple[str, Cells]]:
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
        "size": f"{arm.bytes / _MEGA:.1f} MB",
    }


def _speed(report: BenchmarkReport) -> Iterator[tuple[str, Cells]]:
    for arm in (report.reference, *report.candidates):
        yield arm.name, {"latency": f"{arm.p50_ms:.2f} ms"}
    for found in report.speedups:
        interval = f"{found.interval.low:.2f} to {found.interval.high:.2f}"
        yield found.candidate, {"speed-up": f"{found.ratio:.2f}x ({interval})"}


def print_verdicts(verdicts: Iterable[Verdict]) -> None:
    """One line a gate."""
    for verdict in verdicts:
        click.echo(sentence(verdict))


def _percent(value: float) -> str:
    return f"{value:.2%}"


def _plain(value: float) -> str:
    return f"{value:.3g}"
