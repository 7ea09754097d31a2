"""``edgepipe gate REPORT``."""

from __future__ import annotations

from pathlib import Path

import click

from edgepipe.cli.console import emit, json_option
from edgepipe.cli.summary import print_verdicts


@click.command("gate")
@click.argument("report", type=click.Path(path_type=Path))
@json_option
def command(report: Path, as_json: bool) -> int:  # noqa: FBT001 - click's way
    """Judge the gates of REPORT (a report.json) again: exit 0, 4 (failed) or 5 (inconclusive)."""
    from edgepipe import api
    from edgepipe.pipeline.verdict import exit_code

    verdicts = api.gate(report)
    if as_json:
        emit([verdict.model_dump(mode="json") for verdict in verdicts])
    else:
        print_verdicts(verdicts)
    return exit_code(verdicts)
