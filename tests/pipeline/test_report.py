from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgepipe import disk
from edgepipe.errors import BundleError, StageError, UsageError
from edgepipe.pipeline import job
from edgepipe.pipeline import report as reports
from edgepipe.pipeline.gate import AccuracyGate
from edgepipe.pipeline.judge import judge
from edgepipe.pipeline.run import Listener
from edgepipe.pipeline.verdict import Verdict
from tests.pipeline import toys
from tests.pipeline.measured import benchmark, validation

GATE = AccuracyGate(measure="accuracy", of="int8", against="teacher", max_drop=0.5)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> job.Finished:
    return job.run(toys.chain(), tmp_path_factory.mktemp("root"), Listener())


def gated(report: reports.RunReport, **changes: object) -> reports.RunReport:
    measured = {"accuracy": validation(1, 0)}
    return report.model_copy(update={"gates": (GATE,), "measured": measured, **changes})


def test_a_report_reads_back_as_it_was_written(finished: job.Finished, tmp_path: Path) -> None:
    assert reports.read(finished.report_path) == finished.report
    whole = gated(finished.report)
    whole = whole.model_copy(
        update={"verdicts": tuple(judge([GATE], {"accuracy": validation(1, 0)}))}
    )
    whole.write(tmp_path / "r.json")
    assert reports.read(tmp_path / "r.json") == whole


def test_a_report_says_what_ran_and_what_came_out(finished: job.Finished) -> None:
    report = json.loads(finished.report_path.read_text())
    steps = {step["name"]: step for step in report["steps"]}
    assert list(steps) == ["number", "double", "wrapped", "clock"]
    double = steps["double"]
    assert (double["use"], double["kind"], double["outcome"]) == ("double", "checkpoint", "ran")
    assert double["why"] == ["never run"]
    assert double["key"]["seed"] == "0"
    made = {result.step.name: result.artifact for result in finished.steps}
    assert double["digest"] == made["double"].digest
    assert double["bytes"] == sum(p.stat().st_size for p in made["double"].path.iterdir())
    assert report["schema"] == 2
    assert report["created"].endswith("Z")
    assert "verdicts" in report


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        (None, "not judged"),
        (["pass"], "pass"),
        (["pass", "inconclusive"], "inconclusive"),
        (["inconclusive", "fail", "pass"], "fail"),
    ],
)
def test_all_verdicts_in_one_word(
    finished: job.Finished, outcomes: list[str] | None, verdict: str
) -> None:
    (passed,) = judge([GATE], {"accuracy": validation(1, 0)})
    verdicts = tuple(
        Verdict(**{**passed.model_dump(), "outcome": outcome}) for outcome in outcomes or ()
    )
    gates = (GATE,) * max(1, len(verdicts))
    report = finished.report.model_copy(update={"gates": gates, "verdicts": verdicts})
    assert report.verdict == verdict
    assert finished.report.verdict == "no gates"


@pytest.mark.parametrize(
    ("content", "error", "problem"),
    [
        (None, UsageError, "there is no such report"),
        ("", BundleError, "is no readable report"),
        ("[1]", BundleError, "is no readable report"),
        ("{}", UsageError, "has schema None; this edgepipe reads schema 2"),
        ('{"schema": 1}', UsageError, "has schema 1; this edgepipe reads schema 2"),
        ('{"schema": 3}', UsageError, "has schema 3; this edgepipe reads schema 2"),
        ('{"schema": 2}', BundleError, "is damaged"),
        ('{"schema": 2, "name":', BundleError, "is no readable report"),
        ("[" * 100_000, BundleError, "is no readable report"),
    ],
)
def test_what_is_no_report(
    tmp_path: Path, content: str | None, error: type[Exception], problem: str
) -> None:
    if content is not None:
        (tmp_path / "r.json").write_text(content)
    with pytest.raises(error, match=problem):
        reports.read(tmp_path / "r.json")


def test_a_changed_report_is_refused(finished: job.Finished, tmp_path: Path) -> None:
    found = json.loads(finished.report_path.read_text())
    disk.write_json(tmp_path / "r.json", {**found, "extra": 1})
    with pytest.raises(BundleError, match="is damaged"):
        reports.read(tmp_path / "r.json")


def test_one_name_means_one_model_in_all_steps(finished: job.Finished, tmp_path: Path) -> None:
    speed = benchmark([[2.0, 2.1], [2.0, 2.1]])
    digests = {arm.name: arm.digest for arm in (speed.reference, *speed.candidates)}
    assert digests == {"teacher": "digest of teacher", "int8": "digest of int8"}
    whole = gated(finished.report, measured={"tests": validation(), "speed": speed})
    whole.write(tmp_path / "r.json")
    assert reports.read(tmp_path / "r.json") == whole
    other = speed.model_copy(
        update={"reference": speed.reference.model_copy(update={"digest": "of another"})}
    )
    gated(finished.report, measured={"tests": validation(), "speed": other}).write(
        tmp_path / "r.json"
    )
    with pytest.raises(BundleError, match="wrong report: its steps measured two models 'teacher'"):
        reports.read(tmp_path / "r.json")


def test_a_page_of_the_last_run_never_lies_beside_a_new_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = job.run(toys.chain(), tmp_path, Listener()).report_path.with_suffix(".html")
    page.write_text("pass")
    with pytest.raises(StageError, match="out of luck"):
        job.run(toys.chain(fail="out of luck"), tmp_path, Listener())
    assert page.exists()  # that run has no report: the old ones belong together
    monkeypatch.setattr(job, "judge", None)
    with pytest.raises(TypeError):
        job.run(toys.chain(), tmp_path, Listener())
    assert not page.exists()


def test_the_report_is_there_before_anything_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no verdict today")

    monkeypatch.setattr(job, "judge", refuse)
    with pytest.raises(RuntimeError, match="no verdict today"):
        job.run(toys.chain(), tmp_path, Listener())
    found = reports.read(tmp_path / "toy" / "report.json")
    assert found.verdicts == ()
    assert (tmp_path / "toy" / "bundle" / "double").read_text() == "6"
