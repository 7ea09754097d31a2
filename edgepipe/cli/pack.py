"""``edgepipe pack BUNDLE``."""

from __future__ import annotations

from pathlib import Path

import click

from edgepipe.cli.console import json_option
from edgepipe.cli.made import tell


@click.command("pack")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file to write.  [default: BUNDLE.zip, beside it]",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@json_option
def command(
    bundle: Path,
    output: Path | None,
    force: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Verify BUNDLE and write it as one zip.

    The same files give the same bytes on every machine.
    """
    from edgepipe.bundle import archive

    target = output or _beside(bundle)
    archive.pack(bundle, target, force=force)
    tell(target, target, as_json=as_json)


def _beside(bundle: Path) -> Path:
    named = bundle if bundle.name not in {"", ".."} else bundle.resolve()
    return named.parent / f"{named.name}.zip"
