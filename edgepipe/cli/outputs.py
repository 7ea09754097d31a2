"""What run, gate and compare write for others to read: JUnit XML, Markdown, HTML, JSON."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgepipe.errors import UsageError

if TYPE_CHECKING:
    from edgepipe.pipeline.report import RunReport

STDOUT = Path("-")
_FILE = click.Path(path_type=Path, dir_okay=False, allow_dash=True)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where to write what; None where it was not asked for."""

    junit: Path | None = None
    markdown: Path | None = None
    html: Path | None = None
    as_json: bool = False

    @property
    def on_stdout(self) -> bool:
        """One of them takes stdout for itself."""
        return self.as_json or STDOUT in (self.junit, self.markdown, self.html)

    def check(self, *inputs: Path | None) -> None:
        """UsageError unless every output can be written, to a place of its own.

        Asked before any work is done. ``inputs`` are never written over.
        """
        asked = [path for path in (self.junit, self.markdown, self.html) if path is not None]
        if [*asked, *([STDOUT] if self.as_json else [])].count(STDOUT) > 1:
            raise UsageError("stdout takes one output: give - once, and without --json")
        files = [path for path in asked if path != STDOUT]
        for path in files:
            if not path.parent.is_dir():
                raise UsageError(f"{path}: there is no folder {path.parent} to write it to")
        places = [path.resolve() for path in files]
        kept = {path.resolve() for path in inputs if path is not None}
        for path, place in zip(files, places, strict=True):
            if places.count(place) > 1:
                raise UsageError(f"{path} is asked for as two outputs; give each its own file")
            if place in kept:
                raise UsageError(f"{path} is read here; write the output to another file")

    def write(
        self, report: RunReport, baseline: RunReport | None, again: Sequence[str], *, judged: bool
    ) -> None:
        """Every output that was asked for is written, JSON excepted.

        ``again`` is the command line that judges once more. Not ``judged``: compared only.
        """
        for path, text in self._texts(report, baseline, again, judged=judged):
            if path == STDOUT:
                click.echo(text, nl=False)
            else:
                _write(path, text)

    def _texts(
        self, report: RunReport, baseline: RunReport | None, again: Sequence[str], *, judged: bool
    ) -> list[tuple[Path, str]]:
        """Each made before any is written."""
        made = []
        if self.junit:
            from edgepipe.present.junit import junit

            made.append((self.junit, junit(report)))
        if self.markdown:
            made.append((self.markdown, _markdown(report, baseline, again, judged=judged)))
        if self.html:
            from edgepipe.present.page import page

            made.append((self.html, page(report, baseline)))
        return made


def outputs_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--junit``, ``--markdown``, ``--html`` and ``--json``, handed on as one ``outputs``."""

    @click.option("--junit", type=_FILE, metavar="FILE", help="Write JUnit XML: a test a gate.")
    @click.option("--markdown", type=_FILE, metavar="FILE", help="Write Markdown, for a summary.")
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


def _markdown(
    report: RunReport, baseline: RunReport | None, again: Sequence[str], *, judged: bool
) -> str:
    import shlex

    from edgepipe.present.markdown import compared, markdown

    if baseline is not None and not judged:
        return compared(report, baseline)
    return markdown(report, baseline, again=shlex.join(again))


def _write(path: Path, text: str) -> None:
    from edgepipe import disk

    disk.write_text(path, text)
