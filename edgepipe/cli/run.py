"""``edgepipe run FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from edgepipe.cli.console import artifacts_option, listener
from edgepipe.cli.outputs import Outputs, call_of, emit_json, outputs_options
from edgepipe.cli.summary import print_summary, print_verdicts


@click.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@artifacts_option
@outputs_options
def command(file: Path, artifacts: Path, outputs: Outputs) -> int:
    """Run FILE: steps that are already made are reused, gates are judged at the end.

    Leaves NAME/bundle, NAME/report.json and NAME/report.html in the artifacts folder. --json prints
    the report. The files asked for are removed before the run begins, so that a run that breaks
    leaves none of an earlier one.
    """
    return run_file(file, artifacts, outputs)


def run_file(file: Path, artifacts: Path, outputs: Outputs) -> int:
    """The exit code of a whole run, its outputs written and its summary printed."""
    from edgepipe import api
    from edgepipe.present.judged_by import judged_by

    outputs.check(file)
    finished = api.run(file, root=artifacts, listener=listener())
    again = call_of("gate", [finished.report_path], {"baseline": finished.baseline_path})
    by = judged_by(finished.report_path, None, finished.baseline_path)
    outputs.write(finished.report, finished.baseline, again, judged=True, by=by)
    if outputs.as_json:
        emit_json(finished.report.model_dump(mode="json", by_alias=True))
    elif outputs.on_stdout:
        print_verdicts(finished.report, err=True)
    else:
        print_summary(finished.report, finished.report_path, finished.bundles)
    return finished.exit_code
