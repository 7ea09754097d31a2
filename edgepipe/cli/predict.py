"""``edgepipe predict BUNDLE [TEXT ...]``."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

import click

from edgepipe.bundle.printable import printable
from edgepipe.cli.console import (
    device_option,
    json_option,
    json_text,
    threads_option,
    variant_option,
)
from edgepipe.errors import UsageError

if TYPE_CHECKING:
    from edgepipe.runtime import Prediction

_WINDOW = 256


@click.command("predict")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1, metavar="[TEXT ...]")
@click.option(
    "--file",
    type=click.File("r", encoding="utf-8", errors="surrogateescape"),
    help="One text a line; - is stdin.",
)
@variant_option
@device_option
@threads_option
@json_option
def command(  # noqa: PLR0913, PLR0917 - one parameter an option
    bundle: Path,
    texts: tuple[str, ...],
    file: TextIO | None,
    variant: str,
    device: Literal["cpu", "cuda", "auto"],
    threads: int,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Classify every TEXT, or every line of a file, with BUNDLE.

    A line each: label, score and text, separated by tabs; with --json one object a line.
    """
    from edgepipe import runtime

    if not texts and file is None:
        raise UsageError("nothing to classify: give texts, or --file FILE (- is stdin)")
    lines = _lines(file) if file is not None else ()
    with runtime.load(bundle, device=device, variant=variant, threads=threads) as model:
        for some in _windows(itertools.chain(texts, lines)):
            for text, answer in zip(some, model(some), strict=True):
                click.echo(_line(text, answer, as_json=as_json))


def _lines(file: TextIO) -> Iterator[str]:
    """One text a line; an empty line is an empty text, so that answers stay in step."""
    for number, line in enumerate(file, start=1):
        try:
            line.encode()
        except UnicodeEncodeError as error:  # a byte that was no UTF-8 is a lone surrogate here
            raise UsageError(f"{file.name}:{number}: not UTF-8") from error
        yield line.rstrip("\r\n")


def _windows(texts: Iterable[str]) -> Iterator[list[str]]:
    """Lists of a bounded size: a file of any length is read as a stream."""
    remaining = iter(texts)
    while some := list(itertools.islice(remaining, _WINDOW)):
        yield some


def _line(text: str, answer: Prediction, *, as_json: bool) -> str:
    if as_json:
        return json_text({"text": text, **answer})
    echo = printable(text) if sys.stdout.isatty() else text  # elsewhere it comes back as it went in
    return f"{printable(answer['label'])}\t{answer['score']:.4f}\t{echo}"
