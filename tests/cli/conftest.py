from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgepipe import cli
from edgepipe.stages import STAGES
from tests.cli import toy_program


@dataclass(frozen=True)
class Done:
    """What a command left."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def edgepipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """The command line, in an empty folder and with toys in place of the real stages."""
    for name, place in toy_program.STAGES.items():
        monkeypatch.setitem(STAGES, name, place)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGEPIPE_ARTIFACTS", raising=False)

    def run(*args: str | Path) -> Done:
        code = cli.call([str(arg) for arg in args])
        found = capsys.readouterr()
        return Done(code, found.out, found.err)

    return run
