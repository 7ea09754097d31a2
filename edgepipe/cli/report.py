"""``edgepipe report REPORT``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgepipe.cli.outputs import STDOUT, Outputs

if TYPE_CHECKING:
    from edgepipe.api import Judged

_PATH = click.Path(path_type=Path)


@click.command("report")
@click.argument("report", type=_PATH)
@click.option(
    "--baseline", type=_PATH, metavar="REPORT", help="An earlier report, or a folder of them."
)
@click.option("--policy", type=_PATH, metavar="FILE", help="Gates to judge instead of its own.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Where to write it, - for stdout.  [default: report.html beside REPORT]",
)
def command(report: Path, baseline: Path | None, policy: Path | None, output: Path | None) -> None:
    """Draw REPORT (a run's report.json) as one HTML page, to be read offline and on a phone.

    Its gates are judged on the way, or those of the policy FILE, and the page says how they end;
    the exit code is 0 all the same: edgepipe gate is the one that fails. A page of an earlier call
    is removed first.

    For gates without --baseline it is the policy's, or what lies in the folder "baselines" beside
    the report's folder.
    """
    from edgepipe.present.judged_by import judged_by

    target = output or report.with_name("report.html")
    outputs = Outputs(html=target)
    outputs.check(report, baseline, policy)
    found = _judged(report, baseline, policy)
    by = judged_by(report, policy, found.baseline_path)
    outputs.write(found.report, found.baseline, (), judged=True, by=by)
    if target != STDOUT:
        click.echo(target)


def _judged(path: Path, baseline: Path | None, policy: Path | None) -> Judged:
    """The report with its verdicts, if it has gates, and what it is compared with."""
    from edgepipe import api
    from edgepipe.errors import UsageError
    from edgepipe.pipeline import baseline as baselines
    from edgepipe.pipeline import report as reports

    found = reports.read(path)
    if found.gates or policy is not None:
        return api.judged(path, policy=policy, baseline=baseline)
    if baseline is not None and not baseline.exists():
        raise UsageError(f"{baseline}: there is no such baseline, neither report nor folder")
    known = baselines.find(baseline, found.name, before=found.created, machine=found.machine)
    return api.Judged(report=found, baseline=known.newest, path=path, baseline_path=baseline)
