"""``edgepipe unpack FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from edgepipe.cli.console import json_option
from edgepipe.cli.made import tell
from edgepipe.errors import UsageError


@click.command("unpack")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The folder to make.  [default: FILE without .zip]",
)
@click.option("--force", is_flag=True, help="Replace a bundle that is there, as a whole.")
@json_option
def command(
    file: Path,
    output: Path | None,
    force: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Verify the zip FILE, which nobody has to trust, and make its bundle a folder.

    A file that is refused leaves nothing behind.
    """
    from edgepipe.bundle import archive
    from edgepipe.runtime.manifest import MANIFEST

    into = output or _beside(file)
    archive.unpack(file, into, force=force)
    tell(into, into / MANIFEST, as_json=as_json)


def _beside(file: Path) -> Path:
    name = file.name.removesuffix(".zip")
    if name in {"", ".", file.name}:
        raise UsageError(f"{file} is not called NAME.zip; say where to with --output FOLDER")
    return file.with_name(name)
