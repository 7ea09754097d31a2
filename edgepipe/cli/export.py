"""``edgepipe export triton BUNDLE``."""

from __future__ import annotations

from pathlib import Path

import click

from edgepipe.cli.console import emit, json_option


@click.group("export")
def command() -> None:
    """Write a bundle in the layout of another server.

    In Hugging Face tools and transformers.js a bundle loads as it is.
    """


@command.command("triton")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="The model repository to make.",
)
@click.option("--variant", help="A variant of the bundle.  [default: the first]")
@json_option
def triton(
    bundle: Path,
    output: Path,
    variant: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Verify BUNDLE and write it as a model repository of Triton, for its onnxruntime backend.

    Triton gets token ids; the tokenizer lies beside the model.
    """
    from edgepipe.bundle.triton import export

    made = export(bundle, output, variant)
    if as_json:
        value = {"repository": str(made.repository), "model": made.model, "variant": made.variant}
        emit(value)
    else:
        click.echo(made.repository / made.model)
