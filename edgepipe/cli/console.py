"""What commands share: options, data on stdout, progress on stderr."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:
    from edgepipe.pipeline.graph import Step
    from edgepipe.pipeline.run import Listener, StepResult

F = TypeVar("F", bound=Callable[..., Any])
_EVERY = 10.0
"""Seconds between plain progress lines."""


def artifacts_option(command: F) -> F:
    """``--artifacts FOLDER``: where runs leave bundles, reports and the cache."""
    return click.option(
        "--artifacts",
        type=click.Path(path_type=Path, file_okay=False),
        default="artifacts",
        show_default=True,
        envvar="EDGEPIPE_ARTIFACTS",
        show_envvar=True,
        help="Where bundles, reports and the cache lie.",
    )(command)


def json_option(command: F) -> F:
    """``--json``: the same, for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(
        command
    )


def variant_option(command: F) -> F:
    """``--variant NAME``: which one of a bundle."""
    return click.option(
        "--variant", default="auto", show_default=True, help="A variant of the bundle."
    )(command)


def device_option(command: F) -> F:
    """``--device cpu|cuda|auto``: where a bundle runs."""
    return click.option(
        "--device",
        type=click.Choice(["cpu", "cuda", "auto"]),
        default="cpu",
        show_default=True,
        help="This one, or an error; auto is CUDA where it works.",
    )(command)


def threads_option(command: F) -> F:
    """``--threads N``: of one inference."""
    return click.option(
        "--threads",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Of one inference.",
    )(command)


def emit(value: object) -> None:
    """``value`` as JSON on stdout."""
    click.echo(json_text(value, indent=2))


def json_text(value: object, *, indent: int | None = None) -> str:
    """``value`` as JSON to read, with every character escaped that a terminal might act on."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def say(text: str) -> None:
    """A line for people, on stderr."""
    click.echo(text, err=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, words: bool = False) -> None:
    """A table on stdout, figures to the right unless all cells are ``words``.

    In a terminal cells wrap to its width; elsewhere every row is one line. Without rich, which the
    bare runtime does not bring, cells are separated by tabs.
    """
    if importlib.util.find_spec("rich") is None:
        for row in (columns, *rows):
            click.echo("\t".join(row))
        return
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    terminal = sys.stdout.isatty()
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        side: Literal["left", "right"] = "left" if words or number == 0 else "right"
        drawn.add_column(column, justify=side, no_wrap=not terminal)
    for row in rows:
        drawn.add_row(*map(escape, row))
    Console(width=None if terminal else 200, highlight=False).print(drawn)


def listener() -> Listener:
    """Progress on stderr: a live bar in a terminal, plain lines elsewhere."""
    from edgepipe.pipeline.run import Listener

    shown = _Bar() if sys.stderr.isatty() else _Lines()
    return Listener(
        started=shown.started, progress=shown.progress, ended=shown.ended, waiting=_waiting
    )


def lines() -> Listener:
    """Progress of work that has no steps: plain lines on stderr."""
    from edgepipe.pipeline.run import Listener

    return Listener(progress=_Lines().progress)


def _waiting(busy: str) -> None:
    say(f"waiting for another process that {busy}")


class _Lines:
    """Progress as plain lines, at most one every ten seconds within a step."""

    def __init__(self) -> None:
        self.step = ""
        self.first: tuple[float, int] | None = None
        self.last = 0.0

    def started(self, step: Step, why: Sequence[str]) -> None:
        self.step, self.first, self.last = step.name, None, time.monotonic()
        say(f"{step.name} ({step.use}): running: {_because(why)}")

    def progress(self, done: int, total: int, message: str) -> None:
        now = time.monotonic()
        self.first = self.first or (now, done)
        if now - self.last >= _EVERY:
            self.last = now
            begun, before = self.first
            left = _left(now - begun, done - before, total - done)
            step = f"{self.step}: " if self.step else ""
            say(f"{step}{message} {done}/{total}{left}")

    def ended(self, result: StepResult) -> None:
        say(_ending(result))


class _Bar:
    """Progress as one live bar a step."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.fields[step]}"),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            transient=True,
            console=_stderr(),
        )
        self.task: Any = None

    def started(self, step: Step, why: Sequence[str]) -> None:
        say(f"{step.name} ({step.use}): running: {_because(why)}")
        self.bar.start()
        self.task = self.bar.add_task("", total=None, step=step.name)

    def progress(self, done: int, total: int, message: str) -> None:
        if self.task is not None:
            self.bar.update(self.task, completed=done, total=total, description=message)

    def ended(self, result: StepResult) -> None:
        if self.task is not None:
            self.bar.remove_task(self.task)
            self.task = None
            self.bar.stop()
        say(_ending(result))


def _stderr() -> Any:
    from rich.console import Console

    return Console(stderr=True)


def _because(why: Sequence[str]) -> str:
    return "; ".join(why) or "nothing is there to reuse"


def _ending(result: StepResult) -> str:
    if result.outcome.value == "reused":
        return f"{result.step.name} ({result.step.use}): reused"
    return f"{result.step.name} ({result.step.use}): done in {result.seconds:.1f} s"


def _left(spent: float, done: int, remaining: int) -> str:
    """How long the rest takes at the pace so far; nothing while that cannot be told."""
    return f", about {spent / done * remaining:.0f} s left" if done > 0 and remaining > 0 else ""
