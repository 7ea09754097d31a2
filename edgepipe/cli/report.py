"""``edgepipe report REPORT``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgepipe.cli.outputs import STDOUT, Outputs

if TYPE_CHECKING:
    from edgepipe.pipeline.report import RunReport

_PATH = click.Path(path_type=Path)


@click.command("report")
@click.argument("report", type=_PATH)
@click.option(
    "--baseline", type=_PATH, metavar="REPORT", help="An earlier report, or a folder of them."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Where to write it, - for stdout.  [default: report.html beside REPORT]",
)
def command(report: Path, baseline: Path | None, output: Path | None) -> None:
    """Draw REPORT (a run's report.json) as one HTML page, to be read offline and on a phone.

    Its gates are judged on the way, and the page says how they end; the exit code is 0 all the
    same: edgepipe gate is the one that fails.
    """
    target = output or report.with_name("report.html")
    outputs = Outputs(html=target)
    found, earlier = _judged(report, baseline)
    outputs.check(report, baseline)
    outputs.write(found, earlier, (), judged=True)
    if target != STDOUT:
        click.echo(target)


def _judged(path: Path, baseline: Path | None) -> tuple[RunReport, RunReport | None]:
    """The report with its verdicts, if it has gates, and what it is compared with."""
    from edgepipe import api
    from edgepipe.errors import UsageError
    from edgepipe.pipeline import baseline as baselines
    from edgepipe.pipeline import report as reports

    found = reports.read(path)
    if found.gates:
        judged = api.judged(path, baseline=baseline)
        return judged.report, judged.baseline
    if baseline is not None and not baseline.exists():
        raise UsageError(f"{baseline}: there is no such baseline, neither report nor folder")
    return found, next(iter(baselines.read_all(baseline, found.name)), None)
