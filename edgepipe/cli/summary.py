"""What a run ends with: a table of the models, then the verdicts, then where things lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgepipe.cli.console import table
from edgepipe.present import terminal, words

if TYPE_CHECKING:
    from edgepipe.pipeline.report import RunReport


def print_summary(report: RunReport, path: Path, bundles: Sequence[Path]) -> None:
    """Models with accuracy, size and speed; remarks; verdicts; paths."""
    from edgepipe.present.remarks import remarks

    print_models(report)
    for remark in remarks(report):
        click.echo(f"note: {terminal.line(remark)}")
    print_verdicts(report)
    for bundle in bundles:
        click.echo(f"bundle:  {bundle}")
    click.echo(f"report:  {path}")
    click.echo(f"page:    {path.with_suffix('.html')}")


def print_verdicts(report: RunReport, *, err: bool = False) -> None:
    """One line a gate, the parts of those that did not pass, then all of them in one word."""
    for verdict in report.verdicts:
        click.echo(terminal.line(words.sentence(verdict)), err=err)
        if verdict.outcome != "pass":
            for part in verdict.details:
                click.echo(f"             - {terminal.line(part)}", err=err)
    why = "" if report.gates or report.pipeline else ": no policy was given"
    click.echo(f"verdict: {report.verdict}{why}", err=err)


def print_models(report: RunReport) -> None:
    """A row a model; columns that no step measured are left out."""
    from edgepipe.present import models

    columns, rows = models.table(report)
    if rows:
        table(columns, ([terminal.line(cell) for cell in row] for row in rows))
