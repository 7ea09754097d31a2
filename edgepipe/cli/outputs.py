"""What run, gate and compare write for others to read: JUnit XML, Markdown, HTML, JSON."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgepipe.cli.console import json_text
from edgepipe.errors import UsageError

if TYPE_CHECKING:
    from edgepipe.pipeline.report import RunReport
    from edgepipe.present.judged_by import JudgedBy

STDOUT = Path("-")
_FILE = click.Path(path_type=Path, dir_okay=False, allow_dash=True)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where to write what; None where it was not asked for."""

    junit: Path | None = None
    markdown: Path | None = None
    html: Path | None = None
    as_json: bool = False
    markdown_limit: int | None = None
    """Bytes; None is what a job's summary takes."""

    @property
    def on_stdout(self) -> bool:
        """One of them takes stdout for itself."""
        return self.as_json or STDOUT in (self.junit, self.markdown, self.html)

    def check(self, *inputs: Path | None) -> None:
        """Every output can be written, to a place of its own, and none is left of an earlier call.

        Asked before any work is done, so that a call that ends early leaves no verdict of another
        behind. ``inputs`` are never written over. Raises UsageError, and nothing is removed then.
        """
        asked = [path for path in (self.junit, self.markdown, self.html) if path is not None]
        if [*asked, *([STDOUT] if self.as_json else [])].count(STDOUT) > 1:
            raise UsageError("stdout takes one output: give - once, and without --json")
        files = [path for path in asked if path != STDOUT]
        for path in files:
            if not path.parent.is_dir():
                raise UsageError(f"{path}: there is no folder {path.parent} to write it to")
            if path.exists() and not path.is_file():
                raise UsageError(f"{path} is no regular file; name one, or - for stdout")
        places = [path.resolve() for path in files]
        kept = {path.resolve() for path in inputs if path is not None}
        for path, place in zip(files, places, strict=True):
            if places.count(place) > 1:
                raise UsageError(f"{path} is asked for as two outputs; give each its own file")
            if place in kept:
                raise UsageError(f"{path} is read here; write the output to another file")
        for path in files:
            _remove(path)

    def write(
        self,
        report: RunReport,
        baseline: RunReport | None,
        again: Sequence[str],
        *,
        judged: bool,
        by: JudgedBy,
    ) -> None:
        """Every output that was asked for is written, JSON excepted.

        ``again`` is the command line that judges once more, ``by`` the files that were judged. Not
        ``judged``: compared only.
        """
        for path, text in self._texts(report, baseline, again, judged=judged, by=by):
            if path == STDOUT:
                click.echo(text if path == self.markdown else _for_log(text), nl=False)
            else:
                _write(path, text)

    def _texts(
        self,
        report: RunReport,
        baseline: RunReport | None,
        again: Sequence[str],
        *,
        judged: bool,
        by: JudgedBy,
    ) -> list[tuple[Path, str]]:
        """Each made before any is written."""
        made = []
        if self.junit:
            from edgepipe.present.junit import junit

            made.append((self.junit, junit(report, by)))
        if self.markdown:
            from edgepipe.present.markdown import LIMIT, compared, markdown

            limit = self.markdown_limit or LIMIT
            text = (
                compared(report, baseline, limit=limit)
                if baseline is not None and not judged
                else markdown(report, baseline, again=shlex.join(again), by=by, limit=limit)
            )
            made.append((self.markdown, text))
        if self.html:
            from edgepipe.present.page import page

            made.append((self.html, page(report, baseline, judged=judged, by=by)))
        return made


def outputs_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--junit``, ``--markdown``, ``--html`` and ``--json``, handed on as one ``outputs``."""

    @click.option("--junit", type=_FILE, metavar="FILE", help="Write JUnit XML: a test a gate.")
    @click.option("--markdown", type=_FILE, metavar="FILE", help="Write Markdown, for a summary.")
    @click.option(
        "--markdown-limit",
        type=click.IntRange(min=1000),
        metavar="BYTES",
        help="Cut it at the end of a line.  [default: 1024000, of a job's summary]",
    )
    @click.option("--html", type=_FILE, metavar="FILE", help="Write one self-contained page.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> Any:
        given = {name: options.pop(name) for name in Outputs.__dataclass_fields__}
        return command(*args, outputs=Outputs(**given), **options)

    return wrapped


def call_of(command: str, paths: Sequence[Path], options: Mapping[str, object]) -> list[str]:
    """The words of a command line, options that were not given left out."""
    words = ["edgepipe", command, *map(str, paths)]
    for name, value in options.items():
        words += [] if value is None else [f"--{name}", str(value)]
    return words


def emit_json(value: object) -> None:
    """``value`` as JSON on stdout, with nothing in it that a CI job would take for a command."""
    from edgepipe.present import terminal

    click.echo(terminal.json_lines(json_text(value, indent=2)))


def _for_log(text: str) -> str:
    from edgepipe.present import terminal

    return terminal.markup_lines(text)


def _remove(path: Path) -> None:
    """No file is at ``path``; a device is left alone."""
    try:
        if path.is_file():
            path.unlink()
    except OSError as error:
        raise UsageError(f"{path}: cannot be written anew: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    from edgepipe import disk

    disk.write_text(path, text)
