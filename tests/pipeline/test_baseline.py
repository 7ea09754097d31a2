from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgepipe import disk
from edgepipe.errors import BundleError, UsageError
from edgepipe.pipeline import baseline, job
from edgepipe.pipeline import report as reports
from edgepipe.pipeline.gate import AccuracyGate, LatencyGate
from edgepipe.pipeline.graph import Step
from edgepipe.pipeline.run import Listener, asked, timed
from edgepipe.pipeline.settings import RunSettings
from edgepipe.stage import Asked
from edgepipe.stages.benchmark import Benchmark
from tests.pipeline import toys
from tests.pipeline.judging import whole
from tests.pipeline.measured import MACHINE, OTHER_MACHINE, validation

EARLY, LATE, LATEST = (f"2026-0{month}-01T00:00:00Z" for month in (1, 2, 3))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two of this machine, a later one of another, the latest of another pipeline."""
    whole(created=LATE).write(tmp_path / "a.json")
    whole(created=EARLY).write(tmp_path / "b.json")
    whole(created=LATEST, machine=OTHER_MACHINE).write(tmp_path / "c.json")
    whole(created="2026-09-01T00:00:00Z", name="others").write(tmp_path / "d.json")
    (tmp_path / "README.md").write_text("no report")
    return tmp_path


def chosen(
    place: Path | None, before: str = "2026-10-01T00:00:00Z", **how: bool
) -> baseline.Baselines:
    return baseline.find(place, "reviews", before=before, machine=MACHINE, **how)


def test_the_newest_is_taken_and_for_clocks_the_newest_of_the_same_machine(folder: Path) -> None:
    found = chosen(folder)
    assert found.newest is not None
    assert found.newest.created == LATEST
    assert found.here is not None
    assert found.here.created == LATE
    assert found.newest_path == folder / "c.json"
    assert found.named(same_machine=False) == f"the baseline is c.json of {LATEST}"
    here = f"the baseline is a.json of {LATE} of Some CPU, 2 cores"
    assert found.named(same_machine=True) == here


def test_a_report_is_never_its_own_baseline_nor_is_a_later_one(folder: Path) -> None:
    found = chosen(folder, before=LATE)
    assert found.newest == found.here is not None
    assert (found.newest.created, found.newest_path) == (EARLY, folder / "b.json")
    none = chosen(folder, before=EARLY)
    assert (none.newest, none.here, none.late) == (None, None, 3)
    why = none.why_none(same_machine=True)
    assert f"none of the 3 in {folder} is earlier than the report itself" in why


@pytest.mark.parametrize("before", [EARLY, LATE])
def test_a_file_that_is_no_earlier_is_a_wrong_call(folder: Path, before: str) -> None:
    with pytest.raises(UsageError, match=rf"a\.json is of {LATE}, no earlier .*swap the two"):
        chosen(folder / "a.json", before=before)
    assert chosen(folder / "a.json", before=LATEST).newest is not None


def test_which_is_shown_beside_the_verdicts(folder: Path) -> None:
    found = chosen(folder)
    accuracy = AccuracyGate(measure="accuracy", max_drop=0.1, of="int8", against="baseline")
    clocks = LatencyGate(measure="latency", min_speedup=2.0, of="int8", against="baseline")
    beside = clocks.model_copy(update={"against": "teacher"})
    assert found.shown([accuracy, clocks]) == found.here
    assert found.shown([accuracy, beside]) == found.newest != found.here


def test_reports_of_other_pipelines_are_not_validated(folder: Path) -> None:
    (folder / "e.json").write_text('{"schema": 1, "name": "others"}')
    (folder / "f.json").write_text('{"schema": 2, "name": "others", "created": 7}')
    assert chosen(folder).newest is not None


@pytest.mark.parametrize("content", ["", '{"schema": 2}', '{"schema": 1}'])
def test_what_nobody_named_is_passed_over(folder: Path, content: str) -> None:
    (folder / "c.json").write_text(content)
    broken = {"schema": 2, "name": "reviews", "created": LATEST}
    (folder / "e.json").write_text(json.dumps(broken))
    found = chosen(folder, strict=False)
    assert found.newest is not None
    assert found.newest.created == LATE


def test_a_file_is_taken_whatever_its_machine_but_not_for_clocks(folder: Path) -> None:
    here, there = chosen(folder / "b.json"), chosen(folder / "c.json")
    assert here.here == here.newest is not None
    assert there.newest is not None
    assert there.here is None


@pytest.mark.parametrize("place", [None, "nothing-here"])
def test_a_first_run_has_no_baseline_yet(tmp_path: Path, place: str | None) -> None:
    found = chosen(tmp_path / place if place else None)
    assert (found.newest, found.here) == (None, None)
    assert "copy the report.json of a run that is good" in found.why_none(same_machine=True)


def test_a_file_of_another_pipeline_is_a_wrong_call(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"d\.json is a report of the pipeline 'others', no base"):
        chosen(folder / "d.json")


@pytest.mark.parametrize(
    ("content", "error", "problem"),
    [
        ("", BundleError, "is no readable report"),
        ('{"schema": 2}', BundleError, "is damaged"),
        ('{"schema": 1}', UsageError, "has schema 1; this edgepipe reads schema 2"),
    ],
)
def test_a_file_in_the_folder_that_is_none_is_named(
    folder: Path, content: str, error: type[Exception], problem: str
) -> None:
    (folder / "e.json").write_text(content)
    with pytest.raises(error, match=rf"e\.json {problem}"):
        chosen(folder)


def test_a_report_with_figures_that_are_none_is_refused(folder: Path) -> None:
    text = whole(validation()).model_dump_json(by_alias=True)
    (folder / "a.json").write_text(text.replace('"drop":0.0', '"drop":NaN'))
    with pytest.raises(BundleError, match=r"a\.json is damaged"):
        chosen(folder)


def test_a_run_finds_out_about_its_baseline_before_it_works(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("no report")
    pipeline = toys.chain()
    run = RunSettings(baseline=tmp_path / "old.json")
    pipeline = type(pipeline)(**{**vars(pipeline), "run": run})
    with pytest.raises(BundleError, match=r"old\.json is no readable report"):
        job.run(pipeline, tmp_path / "root", Listener())
    assert not (tmp_path / "root" / "toy" / "report.json").exists()


def test_a_run_is_judged_against_its_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measured report is put in by hand; the choice and the judging are the run's own."""
    gate = AccuracyGate(measure="accuracy", max_drop=0.01, of="int8", against="baseline")
    build = reports.build
    monkeypatch.setattr(
        reports,
        "build",
        lambda *args: build(*args).model_copy(
            update={"measured": {"tests": validation(90, 0)}, "gates": (gate,)}
        ),
    )
    whole(validation(), name="toy", machine=OTHER_MACHINE).write(tmp_path / "baselines" / "x.json")
    pipeline = toys.chain()
    settings = RunSettings(baseline=tmp_path / "baselines")
    pipeline = type(pipeline)(**{**vars(pipeline), "run": settings, "gates": (gate,)})
    done = job.run(pipeline, tmp_path, Listener())
    (verdict,) = done.report.verdicts
    assert (verdict.outcome, verdict.value) == ("fail", 90 / 2000)
    assert verdict.note.endswith("; the baseline is x.json of 2026-01-01T00:00:00Z")
    assert done.baseline is not None
    assert done.baseline.created == "2026-01-01T00:00:00Z"
    assert done.baseline_path == tmp_path / "baselines"
    kept = json.loads(done.report_path.read_text())
    assert kept["verdicts"][0]["outcome"] == "fail"


def test_the_baseline_is_in_no_cache_key(tmp_path: Path) -> None:
    pipeline = toys.chain()
    first = job.run(pipeline, tmp_path, Listener())
    run = RunSettings(baseline=tmp_path / "none")
    second = job.run(type(pipeline)(**{**vars(pipeline), "run": run}), tmp_path, Listener())
    cached = [r for r in second.steps if r.step.stage.cached]
    assert cached
    assert all(result.outcome.value == "reused" for result in cached)
    assert [dict(r.key) for r in first.steps] == [dict(r.key) for r in second.steps]


def test_a_benchmark_is_asked_what_the_latency_gates_against_its_reference_ask() -> None:
    on = {"of": "int8", "confidence": 0.99}
    gates = (
        AccuracyGate(measure="accuracy", max_drop=0.1, of="int8", against="teacher"),
        LatencyGate(measure="latency", min_speedup=3.0, against="teacher", **on),
        LatencyGate(measure="latency", max_slowdown=0.25, against="teacher", **on),
        LatencyGate(measure="latency", min_speedup=2.0, against="baseline", **on),
    )
    assert asked(gates, "teacher", {"int8", "fp32"}) == (
        Asked("int8", 3.0, 0.99),
        Asked("int8", 0.8, 0.99),
    )


def test_a_benchmark_is_not_asked_about_what_another_one_times() -> None:
    """A limit of a model that is not timed would end the run, after all the steps before it."""
    against = {"measure": "latency", "min_speedup": 3.0, "against": "teacher"}
    names = ("fp32", "int8", "int8 (plain session)")
    gates = tuple(LatencyGate(of=name, **against) for name in names)
    wires = {"reference": "teacher", "candidates": ("int8",), "data": "reviews"}

    def of(stage: Benchmark) -> list[str]:
        step = Step(name="speed", use="benchmark", stage=stage, wires=wires)
        return [limit.of for limit in asked(gates, "teacher", timed(step))]

    assert of(Benchmark(plain=True)) == ["int8", "int8 (plain session)"]
    assert of(Benchmark(plain=False)) == ["int8"]


def test_reading_baselines_writes_nothing(folder: Path) -> None:

    def refuse(operation: str, path: Path) -> None:
        raise AssertionError(f"{operation} {path}")

    with disk.hooked(refuse):
        assert chosen(folder).newest is not None
