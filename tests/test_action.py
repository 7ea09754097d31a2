"""The composite action: its script, run as GitHub's runner runs it, with a made-up environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import junitparser
import pytest
import yaml

from tests.cli import reports

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
INSTALL, JUDGE = ACTION["runs"]["steps"]
CANARY = '"; touch canary; echo "$(touch canary)`touch canary`'


def run(
    step: dict, folder: Path, inputs: dict[str, str], *, summary: bool = True
) -> subprocess.CompletedProcess[str]:
    """A step as the runner starts it, its expressions replaced in ``env`` only."""
    given = {name: spec.get("default", "") for name, spec in ACTION["inputs"].items()} | inputs
    env = {
        name: given[value.removeprefix("${{ inputs.").removesuffix(" }}")]
        for name, value in step["env"].items()
    }
    (folder / "script.sh").write_text(step["run"])
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "script.sh"],
        cwd=folder, capture_output=True, text=True, check=False,
        env={
            **env, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "TMPDIR": str(folder / "tmp"),
            **({"GITHUB_STEP_SUMMARY": str(folder / "summary.md")} if summary else {}),
            "PYTHONPATH": str(ROOT), "RUNNER_TEMP": str(folder / "runner"),
            "GITHUB_OUTPUT": str(folder / "output"), "GITHUB_ACTION_PATH": "/the/action",
        },
    )  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Reports, an ``edgepipe`` on the PATH, and a ``python`` that only says what it was called."""
    reports.write(tmp_path)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "bin").mkdir()
    for name, line in {
        "edgepipe": f'exec {sys.executable} -m edgepipe "$@"',
        "python": 'for place in "$@"; do :; done; mkdir -p "$place/bin"; cp "$0.venv" '
        '"$place/bin/python"; echo "$@"',
        "python.venv": 'printf "%s\\n" "$@"',
    }.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "summary.md").write_text("before\n")
    return tmp_path


def test_inputs_reach_the_shell_as_variables_only() -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]
        assert all(value.startswith("${{ inputs.") for value in step["env"].values())
        subprocess.run(["bash", "-n", "-c", step["run"]], check=True)
    assert {value for step in (INSTALL, JUDGE) for value in step["env"].values()} == {
        f"${{{{ inputs.{name} }}}}" for name in ACTION["inputs"]
    }


@pytest.mark.parametrize("outcome", reports.CODES)
def test_the_exit_code_and_the_summary_are_those_of_the_gate(workspace: Path, outcome: str) -> None:
    inputs = {"report": "new.json", "policy": f"{outcome}.toml", "baseline": "old.json"}
    done = run(JUDGE, workspace, {**inputs, "junit": "j.xml"})
    assert done.returncode == reports.CODES[outcome]
    assert f"verdict: {outcome}" in done.stdout
    summary = (workspace / "summary.md").read_text()
    assert summary.startswith(f"before\n## `reviews`: {outcome.upper()}: 1 ")
    assert "What changed since the baseline" in summary
    assert (workspace / "output").read_text() == f"exit-code={reports.CODES[outcome]}\n"
    assert len(list(junitparser.JUnitXml.fromfile(str(workspace / "j.xml")))) == 1
    assert list((workspace / "tmp").iterdir()) == []


def test_all_outputs_come_of_one_judgement(workspace: Path) -> None:
    inputs = {"report": "new.json", "markdown": "m.md", "html": "p.html", "markdown-limit": "1200"}
    done = run(JUDGE, workspace, inputs)
    assert done.returncode == 5
    made = (workspace / "m.md").read_text()
    assert len(made.encode()) <= 1200
    assert (workspace / "summary.md").read_text() == "before\n" + made
    assert (workspace / "p.html").read_text().startswith("<!doctype html>")


def test_without_a_summary_the_exit_code_is_the_same(workspace: Path) -> None:
    inputs = {"report": "new.json", "policy": "pass.toml", "markdown": "-"}
    done = run(JUDGE, workspace, inputs, summary=False)
    assert done.returncode == 0
    assert (workspace / "output").read_text() == "exit-code=0\n"


def test_a_summary_that_cannot_be_written_takes_no_verdict_away(workspace: Path) -> None:
    (workspace / "summary.md").unlink()
    (workspace / "summary.md").mkdir()
    done = run(JUDGE, workspace, {"report": "new.json", "policy": "fail.toml"})
    assert done.returncode == 4
    assert (workspace / "output").read_text() == "exit-code=4\n"


def test_an_old_markdown_is_no_summary_of_a_call_that_did_not_judge(workspace: Path) -> None:
    (workspace / "m.md").write_text("PASS\n")
    done = run(JUDGE, workspace, {"report": "absent.json", "markdown": "m.md"})
    assert done.returncode == 2
    assert "PASS" not in (workspace / "summary.md").read_text()
    assert not (workspace / "m.md").exists()


def test_the_gate_of_the_environment_that_was_made_is_the_one_that_judges(workspace: Path) -> None:
    place = workspace / "runner" / "edgepipe-gate" / "bin"
    place.mkdir(parents=True)
    (place / "edgepipe").write_text("#!/bin/sh\nexit 42\n")
    (place / "edgepipe").chmod(0o755)
    assert run(JUDGE, workspace, {"report": "new.json"}).returncode == 42
    installed = {"report": "new.json", "version": "installed"}
    assert run(JUDGE, workspace, installed).returncode == 5


@pytest.mark.parametrize("name", ["report", "policy", "baseline", "junit", "markdown", "html"])
@pytest.mark.parametrize("value", [CANARY, "--help", "-", "a b\nc"], ids=range(4))
def test_no_input_becomes_code_or_an_option(workspace: Path, name: str, value: str) -> None:
    done = run(JUDGE, workspace, {"report": "new.json", "policy": "fail.toml", name: value})
    assert not (workspace / "canary").exists()
    assert "Usage:" not in done.stdout
    if name in {"report", "policy", "baseline"}:
        assert done.returncode == 2
        summary = (workspace / "summary.md").read_text()
        assert summary == "before\nedgepipe gate could not judge (exit code 2); see the log.\n"
        assert (workspace / "output").read_text() == "exit-code=2\n"


@pytest.mark.parametrize(
    ("version", "code", "asked"),
    [
        ("", 0, "/the/action[cli]"),
        ("1.2.3rc1", 0, "edgepipe[cli]==1.2.3rc1"),
        ("installed", 0, ""),
        (CANARY, 2, ""),
        ("1.2 --index-url=https://evil.example", 2, ""),
    ],
    ids=range(5),
)
def test_what_is_installed(workspace: Path, version: str, code: int, asked: str) -> None:
    done = run(INSTALL, workspace, {"report": "new.json", "version": version})
    assert done.returncode == code
    place = workspace / "runner" / "edgepipe-gate"
    pip = ["-m", "pip", "install", "--quiet", "--constraint", "/the/action/constraints.txt", asked]
    assert done.stdout.splitlines() == ([f"-m venv --clear {place}", *pip] if asked else [])
    assert not (workspace / "canary").exists()
