"""What the commands share that open bundles nobody has to trust."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from edgepipe.bundle.printable import printable
from edgepipe.cli.console import table
from edgepipe.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def limit_options(command: F) -> F:
    """``--memory MIB`` and ``--timeout S`` of each child process."""
    command = click.option(
        "--timeout",
        type=click.IntRange(min=1),
        default=120,
        show_default=True,
        metavar="S",
        help="Seconds that each child process may take.",
    )(command)
    return click.option(
        "--memory",
        type=click.IntRange(min=64),
        metavar="MIB",
        help="MiB of address space of each.  [default: 1024 + 5 x the largest graph or weights "
        "file, half of this machine's memory at most]",
    )(command)


@contextlib.contextmanager
def opened(bundle: Path) -> Iterator[Path]:
    """The bundle's folder; a zip is unpacked for the time being, and checked on the way.

    UsageError when there is nothing at that path.
    """
    if not bundle.exists():
        raise UsageError(f"there is no bundle at {bundle}")
    if bundle.is_dir():
        yield bundle
        return
    from edgepipe import disk
    from edgepipe.bundle import archive

    with disk.scratch(Path(tempfile.gettempdir()), "edgepipe-") as scratch:
        folder = scratch / "bundle"
        archive.unpack(bundle, folder)
        yield folder


def emit_escaped(value: object) -> None:
    """``value`` as JSON on stdout, in ASCII: nothing in it can reach a terminal as a command."""
    click.echo(json.dumps(value, indent=2))


def shown(columns: Sequence[str], rows: Iterable[Sequence[str]], *, words: bool = False) -> None:
    """A table whose rows may come from a bundle: what a terminal would act on is escaped."""
    table(columns, ([printable(cell) for cell in row] for row in rows), words=words)
