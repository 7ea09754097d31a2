from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import junitparser
import pytest
from jsonschema import Draft202012Validator

from tests.cli import reports
from tests.cli.conftest import Run
from tests.cli.toy_program import text


@pytest.fixture
def files(tmp_path: Path) -> Path:
    reports.write(tmp_path)
    return tmp_path


@pytest.mark.parametrize("outcome", reports.CODES)
def test_every_output_is_there_whatever_the_exit_code(
    edgepipe: Run, files: Path, outcome: str
) -> None:
    made = ("--junit", "j.xml", "--markdown", "m.md", "--html", "p.html")
    done = edgepipe("gate", "new.json", "--policy", f"{outcome}.toml", *made)
    assert done.code == reports.CODES[outcome]
    assert done.out.startswith(f"{outcome.upper():12} int8 against teacher: accuracy drop 3.00 poi")
    assert done.out.endswith(f"verdict: {outcome}\n")
    ((case,),) = junitparser.JUnitXml.fromfile(str(files / "j.xml"))
    kinds = {"pass": [], "fail": [junitparser.Failure], "inconclusive": [junitparser.Error]}
    assert [type(result) for result in case.result] == kinds[outcome]
    assert (files / "m.md").read_text().startswith(f"## `reviews`: {outcome.upper()}: 1 ")
    assert f"edgepipe gate new.json --policy {outcome}.toml" in (files / "m.md").read_text()
    assert (files / "p.html").read_text().lower().startswith("<!doctype html>")


@pytest.mark.parametrize("outcome", reports.CODES)
def test_json_fits_the_schema_that_is_printed(edgepipe: Run, files: Path, outcome: str) -> None:
    done = edgepipe(
        "gate", "new.json", "--policy", f"{outcome}.toml", "--baseline", "old.json", "--json"
    )
    assert done.code == reports.CODES[outcome]
    made = json.loads(done.out)
    Draft202012Validator(json.loads(edgepipe("schema", "--of", "verdicts").out)).validate(made)
    assert (made["verdict"], made["exit_code"]) == (outcome, done.code)
    assert made["baseline"]["created"] == "2026-10-01T08:00:00Z"
    accuracy = next(c for c in made["changes"] if (c["model"], c["what"]) == ("int8", "accuracy"))
    assert (accuracy["before"], accuracy["after"]) == (0.97, 0.92)


def test_a_baseline_is_a_report_or_a_folder_of_them(edgepipe: Run, files: Path) -> None:
    (files / "against.toml").write_text(reports.policy(0.01, "baseline"))
    (files / "baselines").mkdir()
    (files / "old.json").rename(files / "baselines" / "old.json")
    for baseline in ("baselines", "baselines/old.json"):
        done = edgepipe("gate", "new.json", "--policy", "against.toml", "--baseline", baseline)
        assert done.code == 4
        assert "int8 against the baseline: accuracy drop 5.00 points" in done.out


def test_the_report_is_read_and_never_written(edgepipe: Run, files: Path) -> None:
    before = {p.name: p.read_bytes() for p in files.iterdir()}
    edgepipe("gate", "new.json", "--policy", "fail.toml", "--baseline", "old.json")
    assert {p.name: p.read_bytes() for p in files.iterdir()} == before


@pytest.mark.parametrize(
    ("option", "start"), [("--junit", "<?xml"), ("--markdown", "## `"), ("--html", "<!doctype")]
)
def test_one_output_may_go_to_stdout_and_the_verdict_then_goes_to_stderr(
    edgepipe: Run, files: Path, option: str, start: str
) -> None:
    done = edgepipe("gate", "new.json", "--policy", "fail.toml", option, "-")
    assert done.code == 4
    assert done.out.lower().startswith(start)
    assert done.err.endswith("verdict: fail\n")
    assert "verdict: fail" not in done.out


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--junit", "-", "--markdown", "-"], "stdout takes one output"),
        (["--junit", "-", "--json"], "stdout takes one output"),
        (["--junit", "absent/j.xml"], "absent/j.xml: there is no folder absent"),
        (["--junit", "x", "--html", "./x"], "is asked for as two outputs"),
        (["--markdown", "new.json"], "new.json is read here"),
        (["--markdown", "./pass.toml", "--policy", "pass.toml"], "pass.toml is read here"),
        (["--junit", "."], "Invalid value for '--junit'"),
        (["--policy", "absent.toml"], "absent.toml"),
        (["--baseline", "absent.json"], "absent.json: there is no such baseline"),
    ],
)
def test_what_cannot_be_written_or_read_is_told_before_anything_is_written(
    edgepipe: Run, files: Path, args: list[str], told: str
) -> None:
    before = {p.name: p.read_bytes() for p in files.iterdir()}
    done = edgepipe("gate", "new.json", *args)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert {p.name: p.read_bytes() for p in files.iterdir()} == before


def test_a_run_writes_them_too(edgepipe: Run, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(text(counts=(400, 0)))
    done = edgepipe("run", "p.toml", "--junit", "j.xml", "--markdown", "m.md")
    assert done.code == 4
    ((case,),) = junitparser.JUnitXml.fromfile(str(tmp_path / "j.xml"))
    assert case.name == "small against teacher: accuracy drop, at most 2.00 points"
    assert "edgepipe gate artifacts/toy/report.json" in (tmp_path / "m.md").read_text()
    again = edgepipe("run", "p.toml", "--markdown", "-")
    assert again.out == (tmp_path / "m.md").read_text().replace(
        *(stamp_of(part) for part in ((tmp_path / "m.md").read_text(), again.out))
    )


def stamp_of(page: str) -> str:
    return page.partition("Measured `")[2].partition("`")[0]


def test_a_run_that_could_not_write_them_does_not_begin(edgepipe: Run, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(text())
    done = edgepipe("run", "p.toml", "--junit", "absent/j.xml")
    assert done.code == 2
    assert not (tmp_path / "artifacts").exists()


def test_a_terminal_is_safe_from_what_a_report_says(edgepipe: Run, files: Path) -> None:
    odd = "int8\x1b[2J\u202e\n::error::x"
    whole = reports.made()
    found = whole.measured["accuracy"]
    arm = found.candidates[0].model_copy(update={"name": odd})
    compared = found.comparisons[0].model_copy(update={"candidate": odd})
    found = found.model_copy(update={"candidates": (arm,), "comparisons": (compared,)})
    gate = reports.GATE.model_copy(update={"of": odd})
    whole.model_copy(update={"measured": {"accuracy": found}, "gates": (gate,)}).write(
        files / "odd.json"
    )
    done = edgepipe("gate", "odd.json")
    assert done.code == 5
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out
    assert not any(line.strip().startswith("::") for line in done.out.splitlines())


def test_judging_imports_nothing_that_builds_or_is_slow(files: Path) -> None:
    code = (
        "import sys; from edgepipe.cli import call\n"
        "call(['gate', 'new.json', '--policy', 'fail.toml', '--baseline', 'old.json',\n"
        "      '--junit', 'j.xml', '--markdown', 'm.md'])\n"
        "slow = ('torch', 'transformers', 'onnx', 'onnxruntime', 'scipy.stats', 'scipy.optimize',\n"
        "        'sklearn', 'rich', 'jinja2', 'matplotlib')\n"
        "print([m for m in slow if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=files
    )
    assert done.stderr == "[]\n"
