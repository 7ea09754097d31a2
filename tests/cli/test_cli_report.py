from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import reports
from tests.cli.conftest import Run


@pytest.fixture
def files(tmp_path: Path) -> Path:
    reports.write(tmp_path)
    return tmp_path


def test_a_report_becomes_a_page_beside_it(edgepipe: Run, files: Path) -> None:
    done = edgepipe("report", "new.json")
    assert (done.code, done.out, done.err) == (0, "report.html\n", "")
    html = (files / "report.html").read_text()
    assert "<strong>inconclusive</strong>" in html  # judged on the way, and no failure of this call
    assert "Changes since the baseline" not in html


def test_a_baseline_shows_what_changed(edgepipe: Run, files: Path) -> None:
    done = edgepipe("report", "new.json", "--baseline", "old.json", "-o", "page.html")
    assert (done.code, done.out) == (0, "page.html\n")
    html = (files / "page.html").read_text()
    assert "Changes since the baseline" in html
    assert "2026-10-01T08:00:00Z" in html


@pytest.mark.parametrize("outcome", reports.CODES)
def test_a_policy_judges_it_as_gate_does(edgepipe: Run, files: Path, outcome: str) -> None:
    for name in ("new.json", "bare.json"):
        reports.made().model_copy(update={"gates": ()}).write(files / "bare.json")
        done = edgepipe("report", name, "--policy", f"{outcome}.toml", "-o", "-")
        assert done.code == 0
        assert f"<strong>{outcome}</strong>" in done.out


def test_a_page_that_cannot_be_drawn_anew_is_not_left(edgepipe: Run, files: Path) -> None:
    edgepipe("report", "new.json")
    (files / "new.json").write_text("{}")
    assert edgepipe("report", "new.json").code == 2
    assert not (files / "report.html").exists()


def test_a_report_without_gates_is_drawn_all_the_same(edgepipe: Run, files: Path) -> None:
    reports.made().model_copy(update={"gates": ()}).write(files / "bare.json")
    done = edgepipe("report", "bare.json", "--baseline", "old.json", "-o", "-")
    assert done.code == 0
    assert "<strong>no gates</strong>" in done.out
    assert "Changes since the baseline" in done.out
    assert not (files / "report.html").exists()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (("missing.json",), "there is no such report"),
        (("new.json", "--baseline", "missing.json"), "there is no such baseline"),
        (("bare.json", "--baseline", "missing.json"), "there is no such baseline"),
        (("new.json", "-o", "new.json"), "new.json is read here"),
        (("new.json", "-o", "nowhere/page.html"), "there is no folder nowhere"),
    ],
    ids=["report", "baseline", "no gates", "over itself", "folder"],
)
def test_a_wrong_call_says_so_and_writes_nothing(
    edgepipe: Run, files: Path, call: tuple[str, ...], message: str
) -> None:
    reports.made().model_copy(update={"gates": ()}).write(files / "bare.json")
    before = sorted(files.iterdir())
    done = edgepipe("report", *call)
    assert done.code == 2
    assert message in done.err
    assert sorted(files.iterdir()) == before
