"""``edgepipe plan FILE``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgepipe.cli.console import artifacts_option, emit, json_option, table

if TYPE_CHECKING:
    from edgepipe.pipeline.power import Need


@click.command("plan")
@click.argument("file", type=click.Path(path_type=Path))
@artifacts_option
@json_option
def command(file: Path, artifacts: Path, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Say for each step of FILE whether a run would reuse or run it, and why. Runs nothing.

    For information it says, too, how many examples the gates over answers need.
    """
    from edgepipe import api
    from edgepipe.config import load
    from edgepipe.pipeline.power import needs

    planned = api.plan(file, root=artifacts)
    wanted = needs(load(file), artifacts)
    if as_json:
        emit([{**dataclasses.asdict(step), **_carried(step.name, wanted)} for step in planned])
        return
    table(
        ("step", "stage", "would", "why"),
        ((p.name, p.use, p.action, "; ".join(p.why)) for p in planned),
        words=True,
    )
    if wanted:
        _show(wanted)


def _carried(step: str, wanted: Sequence[Need]) -> dict[str, object]:
    """What the gates over one step need; nothing where there are none."""
    found = [dataclasses.asdict(need) for need in wanted if need.step == step]
    return {"examples_needed": found} if found else {}


def _show(wanted: Sequence[Need]) -> None:
    power = wanted[0].power
    click.echo(
        f"Examples that the gates need to pass {power:.0%} of the time if nothing is lost, by the "
        "share of texts that the two models answer differently (information, not a verdict):"
    )
    rates = wanted[0].flip_rates
    table(
        ("gate", "margin", *(f"{rate:.0%}" for rate in rates), "there are"),
        (
            (
                need.gate,
                f"{need.margin:.2%}",
                *("never" if n is None else f"{n:,}" for n in need.needed),
                "not known yet" if need.available is None else f"{need.available:,}",
            )
            for need in wanted
        ),
    )
