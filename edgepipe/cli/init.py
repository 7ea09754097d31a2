"""``edgepipe init MODEL --data FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from edgepipe.cli.console import say
from edgepipe.cli.recipe import Request, recipe_options, write_recipe


@click.command("init")
@recipe_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Default: named as the data.",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def command(request: Request, output: Path | None, force: bool) -> None:  # noqa: FBT001
    """Look at MODEL and a data file, guess what is not given, and write a whole pipeline file.

    MODEL is a folder, an .onnx file, pkg://package/path or hf://org/name.
    """
    file = write_recipe(request, output, force=force)
    say(f"next: edgepipe run {file}")
