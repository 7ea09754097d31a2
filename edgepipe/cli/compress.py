"""``edgepipe compress MODEL --data FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from edgepipe.cli.console import artifacts_option, json_option
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
@json_option
def command(
    request: Request,
    output: Path | None,
    force: bool,  # noqa: FBT001
    artifacts: Path,
    as_json: bool,  # noqa: FBT001
) -> int:
    """Write a pipeline file as init does, and run it: MODEL and data in, a bundle out."""
    file = write_recipe(request, output, force=force)
    return run_file(file, artifacts, as_json=as_json)
