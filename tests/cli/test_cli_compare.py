from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from edgepipe import api
from tests.cli import reports
from tests.cli.conftest import Run
from tests.present.judged import SPEED, everything, report, verdict


@pytest.fixture
def files(tmp_path: Path) -> Path:
    reports.write(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "texts.txt").write_text("one\n\ntwo words\u2028here\r\n")
    return tmp_path


def test_two_reports_without_a_policy_are_information(edgepipe: Run, files: Path) -> None:
    done = edgepipe("compare", "old.json", "new.json", "--markdown", "m.md")
    assert done.code == 0
    row = next(line for line in done.out.splitlines() if "int8: accuracy" in line)
    assert row.split()[-4:] == ["97.00%", "92.00%", "-5.00", "points"]
    assert "verdict" not in done.out
    page = (files / "m.md").read_text()
    assert "| accuracy | 97.00% | 92.00% | -5.00 points |" in page
    assert "FAIL" not in page


def test_the_page_of_a_comparison_shows_no_verdict_that_the_report_holds(
    edgepipe: Run, files: Path
) -> None:
    judged = api.judged(files / "new.json", policy=files / "fail.toml").report
    assert judged.verdict == "fail"
    judged.write(files / "judged.json")
    done = edgepipe("compare", "old.json", "judged.json", "--html", "p.html")
    assert done.code == 0
    page = (files / "p.html").read_text()
    assert "Compared, not judged: no policy was given." in page
    assert 'class="outcome' not in page
    assert "Changes since the baseline" in page


def test_json_of_a_comparison_says_that_it_is_no_verdict(edgepipe: Run, files: Path) -> None:
    done = edgepipe("compare", "old.json", "new.json", "--json")
    made = json.loads(done.out)
    Draft202012Validator(json.loads(edgepipe("schema", "--of", "verdicts").out)).validate(made)
    assert (made["verdict"], made["exit_code"], made["verdicts"]) == ("not judged", 0, [])
    assert made["changes"]


@pytest.mark.parametrize("outcome", reports.CODES)
def test_with_a_policy_the_second_is_judged(edgepipe: Run, files: Path, outcome: str) -> None:
    margin = {"pass": 0.09, "inconclusive": 0.05, "fail": 0.01}[outcome]
    (files / "p.toml").write_text(reports.policy(margin, "baseline"))
    done = edgepipe("compare", "old.json", "new.json", "--policy", "p.toml", "--junit", "j.xml")
    assert done.code == reports.CODES[outcome]
    assert done.out.startswith(
        f"{outcome.upper():12} int8 against the baseline: accuracy drop 5.00"
    )
    assert (files / "j.xml").is_file()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["a", "new.json"], "a is a folder and new.json is not: give two reports or two models"),
        (["new.json", "a"], "a is a folder and new.json is not: give two reports or two models"),
        (["new.json", "absent"], "absent: there is neither a report nor a bundle"),
        (["old.json", "new.json", "--threads", "2"], "--threads: nothing is measured for two rep"),
        (["old.json", "new.json", "--texts", "texts.txt", "--seconds", "9"], "--texts, --seconds:"),
        (["old.json", "new.json", "--junit", "j.xml"], "--junit holds a test a gate: give --polic"),
        (["old.json", "new.json", "--markdown", "old.json"], "old.json is read here"),
        (["p.zip", "p.zip"], "p.zip is packed: unpack it first, with edgepipe unpack p.zip"),
        (["a", "p.zip"], "p.zip is packed: unpack it first"),
        (["a", "b", "--texts", "absent.txt"], "absent.txt: cannot read the texts"),
        (["a", "b", "--texts", "empty.txt"], "empty.txt holds no text"),
        (["a", "b", "--seconds", "0"], "Invalid value for '--seconds'"),
    ],
)
def test_a_call_that_makes_no_sense_is_told(
    edgepipe: Run, files: Path, args: list[str], told: str
) -> None:
    (files / "empty.txt").write_text(" \n\n")
    with zipfile.ZipFile(files / "p.zip", "w") as packed:
        packed.writestr("bundle.json", "{}")
    done = edgepipe("compare", *args)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


class Live:
    """Stands in for the measurement; keeps what it was asked for."""

    def __init__(self, outcome: str | None) -> None:
        self.asked: dict[str, object] = {}
        verdicts = [] if outcome is None else [verdict(outcome), *([SPEED] if outcome else [])]
        self.found = report(verdicts, everything())

    def __call__(self, old: Path, new: Path, **asked: object) -> api.Judged:
        self.asked = {"old": old, "new": new, **asked}
        return api.Judged(report=self.found, baseline=None, path=None)


@pytest.mark.parametrize(("outcome", "code"), [(None, 0), ("pass", 5), ("fail", 4)])
def test_two_models_are_measured_and_judged_by_a_policy(
    edgepipe: Run, files: Path, monkeypatch: pytest.MonkeyPatch, outcome: str | None, code: int
) -> None:
    live = Live(outcome)
    monkeypatch.setattr(api, "compare", live)
    options = ("--texts", "texts.txt", "--threads", "2", "--seconds", "7", "--policy", "pass.toml")
    done = edgepipe("compare", "a", "b", *options, "--junit", "j.xml")
    assert done.code == code
    del live.asked["listener"]
    assert live.asked == {
        "old": Path("a"), "new": Path("b"), "policy": Path("pass.toml"), "threads": 2,
        "seconds": 7.0, "texts": ["one", "two words\u2028here"],
    }  # fmt: skip
    assert "8.00x (0.40 to 0.60)" in done.out
    assert (files / "j.xml").is_file()


def test_measuring_has_defaults_and_prints_json(
    edgepipe: Run, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live(None)
    monkeypatch.setattr(api, "compare", live)
    made = json.loads(edgepipe("compare", "a", "b", "--json").out)
    assert made["verdict"] == "no gates"
    done = edgepipe("compare", "a", "b", "--html", "p.html")
    assert done.out.endswith("verdict: no gates: no policy was given\n")
    assert "no policy was given" in (files / "p.html").read_text()
    assert (live.asked["threads"], live.asked["seconds"], live.asked["texts"]) == (1, 45.0, None)
