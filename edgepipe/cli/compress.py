"""``edgepipe compress MODEL --data FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from edgepipe.cli.console import artifacts_option
from edgepipe.cli.outputs import Outputs, outputs_options
from edgepipe.cli.recipe import Request, recipe_options, write_recipe
from edgepipe.cli.run import run_file


@click.command("compress")
@recipe_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Default: named as the data.",
)
@click.option("--force", is_flag=True, help="Replace the pipeline file if it is there.")
@artifacts_option
@outputs_options
def command(
    request: Request,
    output: Path | None,
    force: bool,  # noqa: FBT001
    artifacts: Path,
    outputs: Outputs,
) -> int:
    """Write a pipeline file as init does, and run it: MODEL and data in, a bundle out.

    The files asked for are removed first, as by run.
    """
    target = output or Path(f"{request.data.stem or 'pipeline'}.toml")  # as init names it
    outputs.check(request.data, request.validation, request.test, target)
    file = write_recipe(request, target, force=force)
    return run_file(file, artifacts, outputs)
