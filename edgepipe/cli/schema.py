"""``edgepipe schema``."""

from __future__ import annotations

import click

from edgepipe.cli.console import emit


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of pipeline files, for editors to complete and check with."""
    from edgepipe.config import json_schema

    emit(json_schema())
