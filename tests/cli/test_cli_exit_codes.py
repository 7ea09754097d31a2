from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgepipe.errors import ExitCode, StageError
from tests.cli.conftest import Run
from tests.cli.toy_program import text


@pytest.mark.parametrize(
    ("settings", "code", "verdict"),
    [
        ({}, 0, "pass"),
        ({"gate": False}, 0, "no gates"),
        ({"counts": (400, 0)}, 4, "fail"),
        ({"counts": (100, 50)}, 5, "inconclusive"),
    ],
)
def test_a_run_ends_as_its_gates_say_and_leaves_its_evidence(
    edgepipe: Run, tmp_path: Path, settings: dict, code: int, verdict: str
) -> None:
    (tmp_path / "p.toml").write_text(text(**settings))
    done = edgepipe("run", "p.toml")
    assert done.code == code
    assert f"verdict: {verdict}\n" in done.out
    assert json.loads((tmp_path / "artifacts" / "toy" / "report.json").read_text())
    assert (tmp_path / "artifacts" / "toy" / "bundle" / "small").read_text() == "6"
    if settings.get("gate", True):
        again = edgepipe("gate", "artifacts/toy/report.json")
        assert again.code == code
        assert again.out.startswith(verdict.upper())
        assert again.err == ""


@pytest.mark.parametrize(
    ("fail", "code", "told"),
    [
        ("out of luck", ExitCode.STAGE, "error: step 'teacher': out of luck\n"),
        ("disk", ExitCode.STAGE, "error: step 'teacher': no space left on the disk; free some"),
        ("pipe", ExitCode.STAGE, "error: step 'teacher': a process that it started has gone\n"),
        ("torch", ExitCode.STAGE, "needs torch, which is not installed: pip install 'edgepipe[b"),
        ("ctrl-c", ExitCode.INTERRUPTED, "interrupted; finished steps are kept, run again to go"),
        ("sigterm", 143, "terminated; finished steps are kept, run again to go on"),
    ],
)
def test_a_step_that_fails_is_one_line_and_no_traceback(
    edgepipe: Run, tmp_path: Path, fail: str, code: int, told: str
) -> None:
    (tmp_path / "p.toml").write_text(text(fail=fail))
    done = edgepipe("run", "p.toml")
    assert done.code == code
    assert done.out == ""
    assert told in done.err
    assert "Traceback" not in done.err
    (tmp_path / "p.toml").write_text(text())
    again = edgepipe("run", "p.toml")
    assert again.code == 0
    assert "number (number): reused\n" in again.err


def test_a_bug_looks_like_a_bug(edgepipe: Run, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(text(fail="bug"))
    done = edgepipe("run", "p.toml")
    assert done.code == ExitCode.BUG == 1
    assert "Traceback" in done.err
    assert "RuntimeError: nobody meant this" in done.err
    assert "this is a bug in edgepipe; please report" in done.err
    assert done.out == ""


@pytest.mark.parametrize("kind", [StageError, ValueError])
def test_the_text_of_an_error_gives_a_runner_no_orders(
    edgepipe: Run, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    """GitHub's obeys ``::`` at the start of a line, and it and Azure's ``##[`` anywhere."""

    def fails(_: Path) -> None:
        raise kind("a\n::error::b\n  ::add-mask::c\nd ##[command]e\n##vso[task.f]g\x1b[1m")

    monkeypatch.setattr("edgepipe.pipeline.report.read", fails)
    lines = edgepipe("gate", "r.json").err.splitlines()
    assert any(line.endswith("e") and "d #" in line for line in lines)
    assert not [
        line
        for line in lines
        if line.lstrip().startswith("::") or "##[" in line or "##vso[" in line or "\x1b" in line
    ]


def test_every_mistake_of_a_file_has_a_line_of_its_own(edgepipe: Run, tmp_path: Path) -> None:
    wrong = text().replace("value", "valeu").replace('["small", "number"]', '["small", "numbr"]')
    (tmp_path / "p.toml").write_text(wrong)
    for command in ("run", "plan"):
        done = edgepipe(command, "p.toml")
        assert done.code == ExitCode.USAGE == 2
        assert done.out == ""
        assert done.err.splitlines() == [
            "error: p.toml:5: step.number.valeu: unknown setting; did you mean 'value'?",
            (
                "error: p.toml:20: step.bundle.from.parts: 'parts' reads 'numbr', "
                "which is no step; did you mean 'number'?"
            ),
        ]
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["run", "absent.toml"], "error: absent.toml: cannot read the pipeline file: No such"),
        (["plan", "."], "error: .: cannot read the pipeline file: Is a directory"),
        (["gate", "absent.json"], "error: absent.json: there is no such report"),
        (["predict", "absent", "x"], "error: there is no bundle at absent"),
        (["benchmark", "absent"], "error: there is no bundle at absent"),
        (["init", "model", "--data", "absent.csv"], "error: absent.csv: there is no such file"),
        (["predict", "."], "error: nothing to classify: give texts, or --file FILE"),
        (["rnu", "x.toml"], "No such command 'rnu'. Did you mean 'run'?"),
        (["bench"], "No such command 'bench'. Did you mean 'benchmark'?"),
        (["run"], "Missing argument 'FILE'"),
        (["run", "x.toml", "--jsn"], "No such option '--jsn'. (Did you mean one of: '--json',"),
        (["predict", ".", "x", "--threads", "0"], "Invalid value for '--threads'"),
        (["init", "model"], "Missing option '--data'"),
        ([], "Commands:"),
    ],
)
def test_a_wrong_call_is_told_on_stderr(edgepipe: Run, args: list[str], told: str) -> None:
    done = edgepipe(*args)
    assert done.code == ExitCode.USAGE
    assert done.out == ""
    assert told in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("content", "code"), [("{}", 2), ('{"schema": 1}', 2), ('{"schema": 2}', 3), ("{", 3)]
)
def test_a_report_of_another_kind_or_a_damaged_one(
    edgepipe: Run, tmp_path: Path, content: str, code: int
) -> None:
    (tmp_path / "r.json").write_text(content)
    done = edgepipe("gate", "r.json")
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("error: r.json ")


def test_a_report_without_gates_is_nothing_to_judge(edgepipe: Run, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(text(gate=False))
    edgepipe("run", "p.toml")
    done = edgepipe("gate", "artifacts/toy/report.json")
    assert done.code == 2
    assert "no gates to judge; add [[gate]] tables" in done.err


def test_whoever_stops_reading_is_no_bug() -> None:
    """The pipe is closed before the program writes."""
    program = [sys.executable, "-m", "edgepipe", "schema"]
    child = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.close()
    _, err = child.communicate()
    assert (child.returncode, err) == (141, b"")


def test_the_program_hands_its_exit_code_to_the_shell() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgepipe", "gate", "absent"], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: absent: there is no such report")
