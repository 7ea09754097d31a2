from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgepipe import disk
from edgepipe.errors import StageError
from edgepipe.pipeline import job
from edgepipe.pipeline.run import Listener, Outcome, Runner
from tests.pipeline import toys


def outcomes(pipeline, root: Path) -> dict[str, Outcome]:
    return {r.step.name: r.outcome for r in Runner(pipeline=pipeline, root=root).execute()}


def planned(pipeline, root: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    plan = Runner(pipeline=pipeline, root=root).plan()
    return {p.name: (p.action, p.why) for p in plan}


def test_a_second_run_reuses_everything_but_clocks(tmp_path: Path) -> None:
    first = outcomes(toys.chain(), tmp_path)
    assert set(first.values()) == {Outcome.RAN}
    second = outcomes(toys.chain(), tmp_path)
    assert second.pop("clock") is Outcome.RAN
    assert set(second.values()) == {Outcome.REUSED}


def test_a_changed_setting_reruns_what_depends_on_it_and_plan_names_it(tmp_path: Path) -> None:
    outcomes(toys.chain(3), tmp_path)
    plan = planned(toys.chain(4), tmp_path)
    assert plan["number"] == ("run", ("setting value: 3 -> 4",))
    assert plan["double"] == ("depends", ("on number",))
    assert set(outcomes(toys.chain(4), tmp_path).values()) == {Outcome.RAN}
    assert planned(toys.chain(3), tmp_path)["double"] == ("reuse", ())


def test_the_seed_reruns_only_stages_that_depend_on_it(tmp_path: Path) -> None:
    outcomes(toys.chain(), tmp_path)
    plan = planned(toys.chain(seed=7), tmp_path)
    assert plan["number"] == ("reuse", ())
    assert plan["double"] == ("run", ("seed: 0 -> 7",))
    # its output is the same all the same, so what follows is reused
    assert outcomes(toys.chain(seed=7), tmp_path)["wrapped"] is Outcome.REUSED


def test_the_content_of_a_source_counts_and_its_place_does_not(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("1")
    (tmp_path / "c").write_text("2")

    def reading(name: str):
        return toys.pipeline(
            toys.step("number", toys.Number(file=toys.Source(str(tmp_path / name))))
        )

    outcomes(reading("a"), tmp_path / "out")
    assert outcomes(reading("b"), tmp_path / "out") == {"number": Outcome.REUSED}
    why = planned(reading("c"), tmp_path / "out")["number"]
    assert why == ("run", ("source file changed",))


def test_a_failed_step_keeps_what_was_made_and_caches_nothing(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="step 'double': out of luck"):
        outcomes(toys.chain(fail="out of luck"), tmp_path)
    assert [p.name for p in (tmp_path / "cache" / "number").iterdir()]
    assert not (tmp_path / "cache" / "double").exists()
    assert not list((tmp_path / "cache" / "unfinished").rglob("value"))
    assert outcomes(toys.chain(), tmp_path)["number"] is Outcome.REUSED


def test_a_damaged_entry_is_made_again_and_the_plan_says_so(tmp_path: Path) -> None:
    outcomes(toys.chain(), tmp_path)
    (file,) = (tmp_path / "cache" / "number").rglob("train.jsonl")
    file.write_text("3, cut or grown")
    plan = planned(toys.chain(), tmp_path)
    assert plan["number"] == ("run", ("its cache entry is gone or damaged",))
    again = outcomes(toys.chain(), tmp_path)
    assert again["number"] is Outcome.RAN
    assert again["double"] is Outcome.REUSED


def test_a_stage_that_makes_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="made Dataset, not OnnxModel"):
        outcomes(toys.pipeline(toys.step("odd", toys.WrongType())), tmp_path)


def test_steps_run_in_the_order_of_their_wires(tmp_path: Path) -> None:
    late_first = toys.pipeline(
        toys.step("double", toys.Double(), number="number"), toys.step("number", toys.Number())
    )
    assert list(outcomes(late_first, tmp_path)) == ["number", "double"]


def test_work_survives_a_failure_and_goes_after_success(tmp_path: Path) -> None:
    with pytest.raises(StageError):
        outcomes(toys.chain(fail="later"), tmp_path)
    assert list((tmp_path / "cache" / "work").rglob("note"))
    outcomes(toys.chain(), tmp_path)
    kept = {p.parent.parent.name for p in (tmp_path / "cache" / "work").rglob("note")}
    assert len(kept) == 1  # that of the failed settings


def test_a_job_leaves_a_bundle_a_report_and_no_scratch(tmp_path: Path) -> None:
    seen: list[str] = []
    listener = Listener(started=lambda step, why: seen.append(step.name))
    finished = job.run(toys.chain(), tmp_path, listener)
    assert seen == ["number", "double", "wrapped", "clock"]
    assert finished.bundles == (tmp_path / "toy" / "bundle",)
    assert (tmp_path / "toy" / "bundle" / "double").read_text() == "6"
    assert sorted(p.name for p in (tmp_path / "toy").iterdir()) == [
        "bundle",
        "measured",
        "report.json",
        "state.json",
    ]
    report = json.loads((tmp_path / "toy" / "report.json").read_text())
    assert [s["outcome"] for s in report["steps"]] == ["ran"] * 4
    assert report["schema"] == 2


def test_a_new_bundle_replaces_the_old_one_whole(tmp_path: Path) -> None:
    job.run(toys.chain(3), tmp_path, Listener())
    before = disk.digest(tmp_path / "toy" / "bundle")
    job.run(toys.chain(4), tmp_path, Listener())
    assert (tmp_path / "toy" / "bundle" / "number").read_text() == "4"
    job.run(toys.chain(3), tmp_path, Listener())
    assert disk.digest(tmp_path / "toy" / "bundle") == before
