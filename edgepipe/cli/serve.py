"""``edgepipe serve BUNDLE``."""

from __future__ import annotations

import ipaddress
import math
from pathlib import Path
from typing import Literal

import click

from edgepipe.cli.console import device_option, say, threads_option, variant_option


def _number(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """NaN lies in every range, as click compares."""
    if math.isnan(value):
        raise click.BadParameter("nan is no number", context, parameter)
    return value


@click.command("serve")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on; 0.0.0.0 is every one.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0 takes one that is free.",
)
@variant_option
@device_option
@threads_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=None,
    show_default="what the threads leave of the cores",
    help="Inferences at the same time, over one copy of the weights.",
)
@click.option(
    "--queue",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    help="Texts that may wait; more get 503.",
)
@click.option(
    "--max-batch-tokens",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Tokens that a worker takes at once.",
)
@click.option(
    "--delay-ms",
    type=click.FloatRange(min=0, max=1000),
    callback=_number,
    default=0.0,
    show_default=True,
    help="How long a free worker waits for a fuller batch.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=3600),
    callback=_number,
    default=10.0,
    show_default=True,
    help="Seconds for a request; then 503, and what has not begun is not computed.",
)
@click.option(
    "--max-body",
    type=click.IntRange(min=1),
    default=1 << 20,
    show_default=True,
    help="Bytes of a request; more get 413.",
)
@click.option(
    "--max-texts",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Texts of a request; more get 413.",
)
@click.option(
    "--max-characters",
    type=click.IntRange(min=1),
    default=20_000,
    show_default=True,
    help="Characters of a text; more get 413.",
)
@click.option(
    "--exact/--fast",
    default=True,
    show_default=True,
    help="Answers that do not depend on batch mates, or larger batches.",
)
def command(  # noqa: PLR0913, PLR0917 - one parameter an option
    bundle: Path,
    host: str,
    port: int,
    variant: str,
    device: Literal["cpu", "cuda", "auto"],
    threads: int,
    workers: int | None,
    queue: int,
    max_batch_tokens: int,
    delay_ms: float,
    timeout: float,
    max_body: int,
    max_texts: int,
    max_characters: int,
    exact: bool,  # noqa: FBT001
) -> None:
    """Answer HTTP requests with BUNDLE, until Ctrl-C or SIGTERM.

    POST /predict takes {"text": ...} or {"texts": [...]}; /v2 is the Open Inference Protocol; / is
    a page to try the model; /health, /ready and /metrics are for those who run it. A line on stdout
    tells the address once requests are taken. On a signal, requests that were accepted are
    answered first.
    """
    from edgepipe.bundle.printable import printable
    from edgepipe.serve.limits import Limits
    from edgepipe.serve.server import Settings, serve

    settings = Settings(
        host=host,
        port=port,
        variant=variant,
        device=device,
        threads=threads,
        workers=workers,
        queue=queue,
        budget=max_batch_tokens,
        delay=delay_ms / 1000,
        exact=exact,
        limits=Limits(
            body=max_body,
            texts=min(max_texts, queue),
            characters=max_characters,
            seconds=timeout,
        ),
    )
    if not _is_loopback(host):
        say(f"{host}: whoever can reach this address may use the model; there is no password")
    serve(bundle, settings, lambda line: click.echo(printable(line)))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
