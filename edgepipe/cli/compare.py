"""``edgepipe compare A B``."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgepipe.cli.console import lines, table
from edgepipe.cli.gate import tell
from edgepipe.cli.outputs import Outputs, call_of, emit_json, outputs_options
from edgepipe.cli.summary import print_models
from edgepipe.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from edgepipe.pipeline.report import RunReport

THREADS = 1
SECONDS = 45.0
_PATH = click.Path(path_type=Path)


@dataclass(frozen=True, kw_only=True)
class _Live:
    """How to measure; None where it was not said."""

    texts: Path | None
    threads: int | None
    seconds: float | None

    def unused(self) -> list[str]:
        """Options that only a measurement has a use for, and that were given."""
        return [f"--{name}" for name, value in vars(self).items() if value is not None]


@click.command("compare")
@click.argument("a", type=_PATH)
@click.argument("b", type=_PATH)
@click.option("--policy", type=_PATH, metavar="FILE", help="Judge B with A as the baseline.")
@click.option("--texts", type=_PATH, metavar="FILE", help="Models only: texts to time, one a line.")
@click.option(
    "--threads", type=click.IntRange(min=1), help=f"Models only: of one inference.  [{THREADS}]"
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    help=f"Models only: to measure for, about.  [{SECONDS:.0f}]",
)
@outputs_options
def command(  # noqa: PLR0913, PLR0917 - click's way
    a: Path,
    b: Path,
    policy: Path | None,
    texts: Path | None,
    threads: int | None,
    seconds: float | None,
    outputs: Outputs,
) -> int:
    """Say what changed from A to B.

    Two report.json files: shows what was measured in both, without running anything, and ends in 0:
    it is information. With --policy it judges B with A as the baseline, as gate does.

    Two bundles or model folders: runs both here, in turn and in fresh processes, and says how much
    faster B is than A and what each weighs. With --policy it judges that; gates name A "old" and B
    "new".

    Exit code with --policy: 0 every gate passed, 4 one failed, 5 undecided. The files asked for
    are removed first, so that no other code leaves those of an earlier call.
    """
    live = _Live(texts=texts, threads=threads, seconds=seconds)
    outputs.check(a, b, policy, texts)
    if _is_model(a) != _is_model(b):
        model, other = (a, b) if _is_model(a) else (b, a)
        raise UsageError(f"{model} is a folder and {other} is not: give two reports or two models")
    if _is_model(a):
        return _models(a, b, policy, live, outputs)
    if live.unused():
        raise UsageError(f"{', '.join(live.unused())}: nothing is measured for two reports")
    return _reports(a, b, policy, outputs)


def _is_model(path: Path) -> bool:
    if not path.exists():
        raise UsageError(f"{path}: there is neither a report nor a bundle")
    if zipfile.is_zipfile(path):
        raise UsageError(f"{path} is packed: unpack it first, with edgepipe unpack {path}")
    return path.is_dir()


def _reports(a: Path, b: Path, policy: Path | None, outputs: Outputs) -> int:
    """B judged against A if there is a policy, else what changed."""
    if policy is not None:
        from edgepipe import api

        again = call_of("gate", [b], {"policy": policy, "baseline": a})
        return tell(api.judged(b, policy=policy, baseline=a), outputs, again, policy)
    from edgepipe.pipeline import report as reports
    from edgepipe.present.judged_by import judged_by

    if outputs.junit is not None:
        raise UsageError("--junit holds a test a gate: give --policy FILE with the gates")
    before, after = reports.read(a), reports.read(b)
    by = judged_by(b, None, a)
    outputs.write(after, before, (), judged=False, by=by)
    if outputs.as_json:
        from edgepipe.present.result import result

        emit_json(result(after, before, judged=False, by=by))
    elif not outputs.on_stdout:
        _print_changes(after, before)
    return ExitCode.OK


def _print_changes(after: RunReport, before: RunReport) -> None:
    from edgepipe.present import terminal
    from edgepipe.present.changes import changes, missing

    rows = (
        (f"{c.model}: {c.what}", c.shown(c.before), c.shown(c.after), c.why or c.difference)
        for c in changes(after, before)
    )
    table(("figure", "A", "B", "difference"), ([*map(terminal.line, row)] for row in rows))
    for line in missing(after, before):
        click.echo(f"note: {terminal.line(line)}")


def _models(a: Path, b: Path, policy: Path | None, live: _Live, outputs: Outputs) -> int:
    """Measured side by side, and judged if there is a policy."""
    from edgepipe import api

    judged = api.compare(
        a,
        b,
        policy=policy,
        texts=_lines(live.texts),
        threads=live.threads or THREADS,
        seconds=live.seconds or SECONDS,
        listener=lines(),
    )
    if not outputs.on_stdout:
        print_models(judged.report)
    again = call_of("compare", [a, b], {"policy": policy, **vars(live)})
    return tell(judged, outputs, again, policy)


def _lines(file: Path | None) -> list[str] | None:
    """The texts of ``file``, empty lines left out; None without a file."""
    if file is None:
        return None
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: cannot read the texts: {error}") from error
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise UsageError(f"{file} holds no text; give one a line")
    return texts
