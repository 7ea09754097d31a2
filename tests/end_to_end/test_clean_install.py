"""The wheel in a clean environment: the runtime alone, with its three dependencies."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*args: str | Path, cwd: Path) -> str:
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHONPATH"))}
    done = subprocess.run(
        [str(a) for a in args], capture_output=True, text=True, check=False, cwd=cwd, env=bare
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds only ``edgepipe[cpu]`` and pytest."""
    place = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", place, ROOT, cwd=place)
    (wheel,) = place.glob("edgepipe-*.whl")
    venv.create(place / "venv", with_pip=True)
    python = place / "venv" / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt")
    run(*pip, f"{wheel}[cpu]", "pytest", "pytest-timeout", cwd=place)
    return python


@pytest.mark.slow
def test_only_the_runtime_is_installed(installed: Path) -> None:
    listed = run(installed, "-m", "pip", "list", "--format=freeze", cwd=installed.parent)
    names = {line.split("==")[0].lower().replace("_", "-") for line in listed.splitlines()}
    assert {"edgepipe", "numpy", "tokenizers", "onnxruntime"} <= names
    # click is there all the same: tokenizers brings huggingface-hub, and that brings click
    heavy = {"torch", "transformers", "optimum", "neural-compressor", "pydantic", "rich", "onnx"}
    assert not names & heavy


@pytest.mark.slow
def test_the_runtimes_own_tests_pass_there(installed: Path) -> None:
    out = run(
        installed,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml"),
        *("--rootdir", ROOT, ROOT / "tests" / "runtime"),
        cwd=installed.parent,
    )
    assert " passed" in out
    assert "failed" not in out


@pytest.mark.slow
def test_what_needs_more_says_its_own_pip_line(installed: Path) -> None:
    program, file = str(installed.parent / "edgepipe"), str(ROOT / "pipelines" / "tiny.toml")
    done = subprocess.run([program, "plan", file], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "pip install 'edgepipe[cli]'" in done.stderr
    assert "Traceback" not in done.stderr
