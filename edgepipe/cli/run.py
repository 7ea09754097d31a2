"""``edgepipe run FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from edgepipe.cli.console import artifacts_option, emit, json_option, listener
from edgepipe.cli.summary import print_summary


@click.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@artifacts_option
@json_option
def command(file: Path, artifacts: Path, as_json: bool) -> int:  # noqa: FBT001 - click's way
    """Run FILE: steps that are already made are reused, gates are judged at the end.

    Leaves NAME/bundle and NAME/report.json in the artifacts folder.
    """
    return run_file(file, artifacts, as_json=as_json)


def run_file(file: Path, artifacts: Path, *, as_json: bool) -> int:
    """The exit code of a whole run, its summary printed."""
    from edgepipe import api

    finished = api.run(file, root=artifacts, listener=listener())
    if as_json:
        emit(finished.report.model_dump(mode="json", by_alias=True))
    else:
        print_summary(finished.report, finished.report_path, finished.bundles)
    return finished.exit_code
