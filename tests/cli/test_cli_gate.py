from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import junitparser
import pytest
from jsonschema import Draft202012Validator

from tests.cli import reports
from tests.cli.conftest import Run
from tests.cli.toy_program import text

POLICY_AND_REPORT = ("pass.toml", "new.json")


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


def test_every_output_names_the_files_that_were_judged(edgepipe: Run, files: Path) -> None:
    made = ("--junit", "j.xml", "--markdown", "m.md", "--html", "p.html", "--json")
    done = edgepipe("gate", "new.json", "--policy", "pass.toml", "--baseline", "old.json", *made)
    sha = {n: hashlib.sha256((files / n).read_bytes()).hexdigest() for n in POLICY_AND_REPORT}
    assert json.loads(done.out)["judged_by"] == {
        "report_sha256": sha["new.json"],
        "policy": "pass.toml",
        "policy_sha256": sha["pass.toml"],
        "baseline": "old.json",
    }
    for name in ("j.xml", "m.md", "p.html"):
        text = (files / name).read_text()
        assert all(part in text for part in (*sha.values(), "pass.toml", "old.json"))
    bare = json.loads(edgepipe("gate", "new.json", "--json").out)["judged_by"]
    assert (bare["policy"], bare["policy_sha256"], bare["baseline"]) == (None, None, None)


def test_the_call_that_judges_again_names_the_baseline_that_was_used(
    edgepipe: Run, files: Path
) -> None:
    """One that the policy names, or that was found beside the report, too."""
    (files / "kept").mkdir()
    (files / "old.json").rename(files / "kept" / "old.json")
    (files / "own.toml").write_text('baseline = "kept"\n' + reports.policy(0.01, "baseline"))
    assert edgepipe("gate", "new.json", "--policy", "own.toml", "--markdown", "m.md").code == 4
    (line,) = [
        t for t in (files / "m.md").read_text().splitlines() if t.startswith("edgepipe gate")
    ]
    (files / "own.toml").write_text(reports.policy(0.01, "baseline"))
    assert edgepipe(*shlex.split(line)[1:]).code == 4
    assert edgepipe("gate", "new.json", "--policy", "own.toml").code == 5


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["gate", "absent.json"], 2),
        (["gate", "damaged.json"], 3),
        (["gate", "new.json", "--policy", "absent.toml"], 2),
        (["compare", "old.json", "absent.json"], 2),
        (["compare", "old.json", "damaged.json", "--policy", "pass.toml"], 3),
        (["compare", "old.json", "new.json"], 2),  # JUnit without a policy
        (["run", "absent.toml"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_call_that_judges_nothing_leaves_no_verdict_of_an_earlier_one(
    edgepipe: Run, files: Path, command: list[str], code: int
) -> None:
    (files / "damaged.json").write_text('{"schema": 2}')
    made = ("--junit", "j.xml", "--markdown", "m.md", "--html", "p.html")
    assert edgepipe("gate", "new.json", "--policy", "pass.toml", *made).code == 0
    assert edgepipe(*command, *made).code == code
    assert not [name for name in ("j.xml", "m.md", "p.html") if (files / name).exists()]


def test_a_call_that_is_refused_for_its_outputs_removes_none(edgepipe: Run, files: Path) -> None:
    (files / "m.md").write_text("kept")
    for wrong in (["--junit", "absent/j.xml"], ["--junit", "m.md"], ["--html", "new.json"]):
        assert edgepipe("gate", "new.json", "--markdown", "m.md", *wrong).code == 2
    assert (files / "m.md").read_text() == "kept"


@pytest.mark.parametrize("name", ["data.csv", "data.toml", "held.csv"])
def test_compress_removes_nothing_that_it_reads_or_that_it_writes_itself(
    edgepipe: Run, files: Path, name: str
) -> None:
    for kept in ("data.csv", "data.toml", "held.csv"):
        (files / kept).write_text("kept")
    done = edgepipe("compress", "model", "--data", "data.csv", "--test", "held.csv", "--html", name)
    assert done.code == 2
    assert f"{name} is read here" in done.err
    assert (files / name).read_text() == "kept"


def test_markdown_is_cut_where_it_was_asked_to_be(edgepipe: Run, files: Path) -> None:
    edgepipe("gate", "new.json", "--markdown", "m.md")
    edgepipe("gate", "new.json", "--markdown", "short.md", "--markdown-limit", "1500")
    whole, short = ((files / name).read_bytes() for name in ("m.md", "short.md"))
    assert len(short) <= 1500 < len(whole)
    assert b"Cut here" in short


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
        (["--html", "/dev/null"], "/dev/null is no regular file"),
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
    assert lasting(again.out) == lasting((tmp_path / "m.md").read_text())


def lasting(page: str) -> str:
    """Without the time of the run, and the digest of the report, which holds it."""
    return re.sub(r"(Measured|SHA-256) `[^`]+`", r"\1", page)


def test_a_run_that_could_not_write_them_does_not_begin(edgepipe: Run, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(text())
    done = edgepipe("run", "p.toml", "--junit", "absent/j.xml")
    assert done.code == 2
    assert not (tmp_path / "artifacts").exists()


def test_a_terminal_is_safe_from_what_a_report_says(edgepipe: Run, files: Path) -> None:
    odd = "::add-mask::int8\x1b[2J\u202e\n::error::x ##[command]y ##vso[task.z]"
    whole = reports.made()
    found = whole.measured["accuracy"]
    arm = found.candidates[0].model_copy(update={"name": odd})
    compared = found.comparisons[0].model_copy(update={"candidate": odd})
    found = found.model_copy(update={"candidates": (arm,), "comparisons": (compared,)})
    gate = reports.GATE.model_copy(update={"of": odd})
    whole.model_copy(update={"measured": {"accuracy": found}, "gates": (gate,)}).write(
        files / "odd.json"
    )
    for options in ((), ("--json",), ("--junit", "-"), ("--markdown", "-"), ("--html", "-")):
        done = edgepipe("gate", "odd.json", *options)
        assert done.code == 5
        shown = done.out + done.err
        assert "\x1b" not in shown
        assert "\u202e" not in shown or options == ("--junit", "-")
        assert not any(line.strip().startswith("::") for line in shown.splitlines())
        assert not any(order in shown for order in ("##[", "##vso["))
    done = edgepipe("compare", "odd.json", "odd.json")
    assert not any(line.strip().startswith("::") for line in done.out.splitlines())
    assert "##[" not in done.out


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
