"""``edgepipe schema``."""

from __future__ import annotations

from typing import Any

import click

from edgepipe.cli.console import emit


@click.command("schema")
@click.option(
    "--of",
    type=click.Choice(["pipeline", "policy", "report", "verdicts"]),
    default="pipeline",
    show_default=True,
    help="Files to write, or what run and gate --json leave.",
)
def command(of: str) -> None:
    """Print the JSON Schema of pipeline files and others, for editors to complete and check with.

    pipeline and policy files are TOML that you write; report is the report.json of a run; verdicts
    is what gate --json and compare --json print.
    """
    emit(_schema(of))


def _schema(of: str) -> dict[str, Any]:
    if of == "report":
        from edgepipe.pipeline.report import RunReport

        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **RunReport.model_json_schema(by_alias=True, mode="serialization"),
            "title": "edgepipe report",
        }
    if of == "verdicts":
        from edgepipe.present import result

        return result.json_schema()
    from edgepipe.config import schema

    return schema.policy_schema() if of == "policy" else schema.json_schema()
