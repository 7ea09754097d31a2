"""``edgepipe gate REPORT``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgepipe.cli.outputs import Outputs, call_of, emit_json, outputs_options
from edgepipe.cli.summary import print_verdicts

if TYPE_CHECKING:
    from edgepipe.api import Judged

_PATH = click.Path(path_type=Path)


@click.command("gate")
@click.argument("report", type=_PATH)
@click.option("--policy", type=_PATH, metavar="FILE", help="Gates to judge instead of its own.")
@click.option(
    "--baseline", type=_PATH, metavar="REPORT", help="An earlier report, or a folder of them."
)
@outputs_options
def command(report: Path, policy: Path | None, baseline: Path | None, outputs: Outputs) -> int:
    """Judge REPORT (a run's report.json), without running anything.

    Exit code: 0 every gate passed, 4 one failed, 5 none failed and one is inconclusive. The files
    asked for are written in each of these cases; one of them may be - for stdout.

    The gates are the report's own, or those of the policy FILE. Gates against "baseline" compare
    with an earlier report; clocks of two machines are never compared.
    """
    from edgepipe import api

    outputs.check(report, policy, baseline)
    judged = api.judged(report, policy=policy, baseline=baseline)
    again = call_of("gate", [report], {"policy": policy, "baseline": judged.baseline_path})
    return tell(judged, outputs, again, policy)


def tell(judged: Judged, outputs: Outputs, again: list[str], policy: Path | None) -> int:
    """The outputs are written, the verdicts printed; the exit code is returned."""
    from edgepipe.present.judged_by import judged_by

    by = judged_by(judged.path, policy, judged.baseline_path)
    outputs.write(judged.report, judged.baseline, again, judged=True, by=by)
    if outputs.as_json:
        from edgepipe.present.result import result

        emit_json(result(judged.report, judged.baseline, by=by))
    else:
        print_verdicts(judged.report, err=outputs.on_stdout)
    return judged.exit_code
