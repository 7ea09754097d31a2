"""What the program leaves when it is stopped from outside."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepipe.bundle import archive
from tests.cli.conftest import Run
from tests.runtime.tiny_onnx import Tiny, write_bundle

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its SIGTERM cannot be handled")

PROGRAM = """
import sys, threading
from edgepipe import disk
from edgepipe.__main__ import main

operation = sys.argv.pop(1)

def stop(name, path):
    if name == operation:
        print("ready", flush=True)
        threading.Event().wait()

with disk.hooked(stop):
    main()
"""
"""The program, which says so and waits when it comes to an operation on the disk."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a bundle and its zip; what goes to the system's own scratch comes here too."""
    archive.pack(write_bundle(tmp_path / "bundle", Tiny()), tmp_path / "bundle.zip")
    return tmp_path


def stopped(place: Path, operation: str, *words: str) -> tuple[int, str]:
    """How the program ended that was stopped at that operation."""
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, operation, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=place,
        env={"TMPDIR": str(place)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=120)
    return child.returncode, err


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ("fsync", ["unpack", "bundle.zip", "-o", "new"]),
        ("rename", ["unpack", "bundle.zip", "-o", "bundle", "--force"]),
        ("rename", ["pack", "bundle", "-o", "new.zip"]),
        ("write", ["verify", "bundle.zip"]),
    ],
)
def test_sigterm_leaves_no_litter(place: Path, operation: str, words: list[str]) -> None:
    before = {path: path.stat().st_size for path in place.rglob("*")}
    code, err = stopped(place, operation, *words)
    assert (code, err.strip()) == (143, "terminated")
    assert {path: path.stat().st_size for path in place.rglob("*")} == before


def test_who_ignores_sigterm_goes_on_ignoring_it() -> None:
    code = (
        "import signal, sys; from edgepipe.__main__ import main\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); sys.argv = ['edgepipe', '--version']\n"
        "try: main()\n"
        "finally: assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Interrupted(io.RawIOBase):
    """Somebody presses Ctrl-C instead of typing."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise KeyboardInterrupt

    def __iter__(self) -> Iterator[bytes]:
        raise KeyboardInterrupt


def test_steps_are_spoken_of_only_where_there_are_some(
    edgepipe: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_bundle(tmp_path / "bundle", Tiny())
    stdin = io.TextIOWrapper(io.BufferedReader(Interrupted()), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stdin)
    done = edgepipe("predict", bundle, "--file", "-")
    assert (done.code, done.out, done.err.strip()) == (130, "", "interrupted")
