"""``edgepipe plan FILE``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from edgepipe.cli.console import artifacts_option, emit, json_option, table


@click.command("plan")
@click.argument("file", type=click.Path(path_type=Path))
@artifacts_option
@json_option
def command(file: Path, artifacts: Path, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Say for each step of FILE whether a run would reuse or run it, and why. Runs nothing."""
    from edgepipe import api

    planned = api.plan(file, root=artifacts)
    if as_json:
        emit([dataclasses.asdict(step) for step in planned])
        return
    table(
        ("step", "stage", "would", "why"),
        ((p.name, p.use, p.action, "; ".join(p.why)) for p in planned),
        words=True,
    )
