"""The command line: one file a command, and the only place that prints or exits."""

from __future__ import annotations

import importlib
import signal
import sys
import traceback
from types import FrameType

import click

from edgepipe import __version__
from edgepipe.errors import EdgepipeError, ExitCode, MissingDependencyError
from edgepipe.present import terminal

COMMANDS = {
    "init": "Look at a model and a data file, and write a pipeline file to start from.",
    "compress": "init, then run.",
    "plan": "Say what a run would reuse and run, and why.",
    "run": "Run a pipeline file, reusing what is already made, and judge the result.",
    "predict": "Classify texts with a bundle.",
    "serve": "Answer HTTP requests with a bundle.",
    "benchmark": "Show every variant of a bundle: accuracy, size and speed side by side.",
    "gate": "Judge a report, without running anything.",
    "compare": "Say what changed between two reports, or measure two models side by side.",
    "report": "Draw a report as one HTML page.",
    "inspect": "Show what is in a bundle, without running it.",
    "verify": "Check that a bundle is whole, harmless and answers as it should.",
    "pack": "Verify a bundle and write it as one zip of reproducible bytes.",
    "unpack": "Verify a zip that nobody has to trust, and make its bundle a folder.",
    "sign": "Verify a bundle and sign all its files with a key of your own.",
    "export": "Write a bundle in the layout of another server: triton.",
    "schema": "Print the JSON Schema of pipeline files, policies, reports or verdicts.",
    "doctor": "Check Python, packages, CPU, CUDA and disk, with a remedy for each finding.",
}


BROKEN_PIPE = 141
"""What a shell reports for a program that ended by SIGPIPE; the verdict may not have been read."""
TERMINATED = 143
"""The same for SIGTERM."""
_RESUMABLE = frozenset({"run", "compress"})
"""What keeps its finished steps."""
EXTRAS = {
    **dict.fromkeys(("pydantic", "rich", "jinja2", "scipy", "onnx", "filelock"), "cli"),
    **dict.fromkeys(("torch", "transformers", "optimum", "neural_compressor"), "build"),
    **dict.fromkeys(("onnx_ir", "onnxscript", "datasets", "safetensors", "sklearn"), "build"),
    **dict.fromkeys(("starlette", "uvicorn", "prometheus_client"), "serve"),
}
"""Which extra brings a package that turns out to be missing."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came: everything is left as after Ctrl-C."""


class _Lazy(click.Group):
    """Knows its commands by name and imports only the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use, not of the alphabet."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, from ``edgepipe.cli.NAME``."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"edgepipe.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's own, with a suggestion for a misspelt command."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=list(COMMANDS), ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line a command, without importing it."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgepipe")
def cli() -> None:
    """Take a transformer and a dataset to a small, fast ONNX bundle that provably works.

    Exit codes: 0 fine, 1 our bug, 2 wrong file or call, 3 a step could not work, 4 a gate failed,
    5 the measurement is inconclusive, 130 interrupted, 143 terminated.
    """


def main() -> None:
    """The ``edgepipe`` program: runs the command line and ends with its exit code.

    SIGTERM ends it as Ctrl-C does, with nothing half-written left behind.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
    sys.exit(call(sys.argv[1:]))


def _terminate(number: int, frame: FrameType | None) -> None:
    del frame
    signal.signal(number, signal.SIG_IGN)  # timeout(1) sends it twice; the first one is at work
    raise Terminated


def call(args: list[str]) -> int:
    """Run ``edgepipe ARGS`` and return its exit code; messages of errors go to stderr."""
    try:
        result = cli.main(args, prog_name="edgepipe", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort) as error:
        return _stopped(args, error)
    except SystemExit:  # so click and rich end when whoever read our output has gone
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the last resort: a bug must look like nothing else
        return _failed(error)
    return result if isinstance(result, int) else ExitCode.OK


def _stopped(args: list[str], error: BaseException) -> int:
    """Say that it was stopped from outside; click hides the signal's exception behind its own."""
    terminated = isinstance(error, Terminated) or isinstance(error.__cause__, Terminated)
    kept = "; finished steps are kept, run again to go on" if _RESUMABLE & set(args[:1]) else ""
    click.echo(f"{'terminated' if terminated else 'interrupted'}{kept}", err=True)
    return TERMINATED if terminated else ExitCode.INTERRUPTED


def _failed(error: Exception) -> int:
    """Say what went wrong; an error that nobody raised on purpose is a bug, traceback and all."""
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        if package in EXTRAS:
            error = MissingDependencyError(package, EXTRAS[package], "this command")
    if isinstance(error, EdgepipeError):
        click.echo(_message(error), err=True)
        return error.exit_code
    return _bug()


def _bug() -> int:
    """Show the exception being handled as what it is."""
    click.echo("\n".join(map(terminal.line, traceback.format_exc().splitlines())), err=True)
    click.echo("this is a bug in edgepipe; please report the lines above", err=True)
    return ExitCode.BUG


def _message(error: EdgepipeError) -> str:
    """``error: `` before every line: a problem each. It may quote a bundle or a report."""
    return "\n".join(f"error: {terminal.inline(line)}" for line in str(error).splitlines())
