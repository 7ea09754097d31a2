"""The surface of the command line, frozen in tests/golden.

A change on purpose: ``EDGEPIPE_RENEW=1 python -m pytest tests/cli/test_cli_help.py``, then look at
the difference before it is committed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgepipe.cli import COMMANDS, cli

GOLDEN = Path(__file__).parents[1] / "golden"
HEAVY = (
    "torch", "transformers", "onnx", "onnxruntime", "pydantic", "rich", "scipy", "numpy",
    "sklearn", "tokenizers", "datasets", "pyarrow", "optimum",
)  # fmt: skip


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_what_was_agreed(command: str) -> None:
    args = [command, "--help"] if command else ["--help"]
    done = CliRunner().invoke(cli, args, prog_name="edgepipe", terminal_width=80)
    assert done.exit_code == 0
    file = GOLDEN / f"help-{command or 'edgepipe'}.txt"
    if os.environ.get("EDGEPIPE_RENEW"):
        file.write_text(done.output)
    assert done.output == file.read_text()


def test_no_help_is_frozen_of_a_command_that_is_gone() -> None:
    known = {f"help-{command}.txt" for command in ("edgepipe", *COMMANDS)}
    assert {file.name for file in GOLDEN.glob("help-*.txt")} == known


def test_help_imports_nothing_heavy() -> None:
    """Of the program and of every command, each in turn in one interpreter."""
    code = (
        "import sys; from edgepipe.cli import COMMANDS, call\n"
        "for args in [['--help'], ['--version'], *([c, '--help'] for c in COMMANDS)]:\n"
        "    assert call(args) == 0\n"
        f"print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_the_list_of_commands_says_what_each_is_for() -> None:
    done = CliRunner().invoke(cli, ["--help"], terminal_width=200)
    for name, text in COMMANDS.items():
        assert f"  {name:10} {text}" in done.output
