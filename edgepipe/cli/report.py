"""``edgepipe report REPORT``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("report", type=click.Path(path_type=Path))
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    help="An earlier report.json: gates against it, and what changed since.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page to write.  [default: report.html beside REPORT]",
)
def command(report: Path, baseline: Path | None, output: Path | None) -> None:
    """Write REPORT (a report.json) as one HTML page that needs no network and no script.

    Its gates are judged anew; the page says how they ended, and the exit code is 0 all the same.
    """
    from edgepipe import api, disk
    from edgepipe.present.page import page

    judged = api.judged(report, baseline=baseline)
    target = output or judged.path.with_name("report.html")
    disk.write_text(target, page(judged.report, judged.baseline))
    click.echo(target)
