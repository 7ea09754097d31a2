from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.cli.conftest import Run
from tests.cli.toy_program import text

REPORT = "artifacts/toy/report.json"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "p.toml").write_text(text())
    return tmp_path / "p.toml"


def test_a_plan_runs_and_writes_nothing(edgepipe: Run, file: Path, tmp_path: Path) -> None:
    done = edgepipe("plan", file, "--json")
    assert done.code == 0
    planned = {p["name"]: p for p in json.loads(done.out)}
    assert list(planned) == ["number", "teacher", "small", "accuracy", "bundle"]
    assert planned["number"] == {
        "name": "number", "use": "number", "action": "run", "why": ["never run"],
    }  # fmt: skip
    assert planned["accuracy"]["action"] == "depends"
    assert planned["accuracy"]["why"] == ["on teacher, small"]
    assert [p.name for p in tmp_path.iterdir()] == ["p.toml"]


def test_a_plan_names_what_changed(edgepipe: Run, file: Path) -> None:
    edgepipe("run", file)
    file.write_text(text().replace("value = 3", "value = 4"))
    lines = [line.split() for line in edgepipe("plan", file).out.splitlines() if line.strip()]
    assert ["step", "stage", "would", "why"] in lines
    assert ["number", "number", "run", "setting", "value:", "3", "->", "4"] in lines


def test_json_of_a_run_is_its_report(edgepipe: Run, file: Path, tmp_path: Path) -> None:
    done = edgepipe("run", file, "--json")
    assert json.loads(done.out) == json.loads(
        (tmp_path / "artifacts" / "toy" / "report.json").read_text()
    )
    judged = json.loads(edgepipe("gate", "artifacts/toy/report.json", "--json").out)
    told = [verdict.pop("told") for verdict in judged["verdicts"]]
    assert judged["verdicts"] == json.loads(done.out)["verdicts"]
    assert told[0].startswith("small against teacher: accuracy drop 0.50 points")


def test_progress_is_on_stderr_and_results_on_stdout(edgepipe: Run, file: Path) -> None:
    done = edgepipe("run", file)
    assert [line.split(":")[0].split(" in ")[0] for line in done.err.splitlines()] == [
        "number (number)",
        "number (number)",
        "teacher (double)",
        "teacher (double)",
        "small (double)",  # the same settings and input as the teacher: reused at once
        "accuracy (validate)",
        "accuracy (validate)",
        "bundle (wrap)",
        "bundle (wrap)",
    ]
    assert "never run" in done.err
    assert "bundle:  artifacts/toy/bundle\n" in done.out
    assert "report:  artifacts/toy/report.json\n" in done.out
    again = edgepipe("run", file)
    assert again.err.count(": reused\n") == 5
    assert again.out == done.out


def test_the_summary_says_drop_bounds_and_limit(edgepipe: Run, file: Path) -> None:
    out = edgepipe("run", file).out
    (verdict,) = (line for line in out.splitlines() if line.startswith("PASS"))
    assert "small against teacher: accuracy drop 0.50 points (one-sided bounds at 95%: " in verdict
    assert "; at most 2.00 points asked" in verdict
    row = next(line for line in out.splitlines() if line.startswith(" small"))
    assert "0.50 points (" in row


def test_artifacts_go_where_they_are_told(
    edgepipe: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert edgepipe("run", file, "--artifacts", "one").code == 0
    monkeypatch.setenv("EDGEPIPE_ARTIFACTS", str(tmp_path / "two"))
    assert edgepipe("run", file).code == 0
    for root in ("one", "two"):
        assert (tmp_path / root / "toy" / "report.json").is_file()
    assert not (tmp_path / "artifacts").exists()
    (tmp_path / "file").touch()
    assert edgepipe("run", file, "--artifacts", "file").code == 2


def test_the_schema_is_a_schema(edgepipe: Run) -> None:
    done = edgepipe("schema")
    assert done.code == 0
    Draft202012Validator.check_schema(json.loads(done.out))


@pytest.mark.parametrize("odd", ["[bold]", "[/bold]", "[red]x[/red]", "[not markup]"])
def test_a_table_keeps_square_brackets(edgepipe: Run, file: Path, odd: str) -> None:
    """rich would take them for markup, and fail or swallow them."""
    edgepipe("run", file)
    file.write_text(text(fail=odd))
    done = edgepipe("plan", file)
    assert done.code == 0
    assert f'setting fail: "" -> "{odd}"' in done.out


def test_the_version(edgepipe: Run) -> None:
    from edgepipe import __version__

    assert edgepipe("--version").out == f"edgepipe, version {__version__}\n"


@pytest.mark.parametrize("of", ["pipeline", "policy", "report", "verdicts"])
def test_every_schema_is_a_schema_and_its_files_fit(edgepipe: Run, file: Path, of: str) -> None:
    made = json.loads(edgepipe("schema", "--of", of).out)
    Draft202012Validator.check_schema(made)
    files = {
        "pipeline": lambda: tomllib.loads(file.read_text()),
        "policy": lambda: {"gate": tomllib.loads(file.read_text())["gate"]},
        "report": lambda: json.loads(edgepipe("run", file, "--json").out),
        "verdicts": lambda: json.loads(edgepipe("gate", REPORT, "--json").out),
    }
    edgepipe("run", file)
    fits = Draft202012Validator(made)
    if of != "pipeline":  # its stages are toys here, which the schema does not know
        fits.validate(files[of]())
    assert not fits.is_valid({**files[of](), "surprise": 1})
