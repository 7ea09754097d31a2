"""A whole run: the steps, then the report, then the bundle, then the verdicts, in this order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepipe import disk
from edgepipe.artifacts import RECORD, Bundle
from edgepipe.errors import ExitCode
from edgepipe.measure.machine import machine
from edgepipe.pipeline import baseline
from edgepipe.pipeline import report as reports
from edgepipe.pipeline.baseline import Baselines
from edgepipe.pipeline.definition import Pipeline
from edgepipe.pipeline.judge import judge
from edgepipe.pipeline.report import RunReport
from edgepipe.pipeline.run import Listener, Runner, StepResult
from edgepipe.pipeline.verdict import exit_code


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a run left behind."""

    report: RunReport
    report_path: Path
    baseline: RunReport | None
    """The earlier report that it was judged against, if there is one: that of the clocks, where
    they have one."""
    baseline_path: Path | None = None
    """The file or folder that the pipeline names for it, if it names one."""
    bundles: tuple[Path, ...]
    steps: tuple[StepResult, ...]

    @property
    def exit_code(self) -> ExitCode:
        """Fine, failed or inconclusive, as the gates say."""
        return exit_code(self.report.verdicts)


def run(pipeline: Pipeline, root: Path, listener: Listener) -> Finished:
    """Run every step, commit the report, publish the bundle, judge.

    The report is there before anything is judged, so a failed gate leaves its evidence. A second
    run of the same pipeline under the same root waits for the first: they share report and bundle,
    and would spoil each other's timings.
    """
    runner = Runner(pipeline=pipeline, root=root, listener=listener)
    busy = f"runs {pipeline.name!r}"
    with runner.cache.locked(f"run-{pipeline.name}", lambda: listener.waiting(busy)):
        return _run(runner)


def _run(runner: Runner) -> Finished:
    pipeline = runner.pipeline
    known = _baselines(pipeline)  # what is wrong with it, before hours of work
    disk.recover(runner.home / "bundle")
    results = tuple(runner.execute())
    unjudged = reports.build(pipeline, results)
    path = runner.home / "report.json"
    disk.remove(path.with_suffix(".html"))  # the last run's: it may say pass
    unjudged.write(path)
    bundles = _publish(results, runner.home)
    verdicts = judge(pipeline.gates, unjudged.measured, known)
    judged = unjudged.model_copy(update={"verdicts": tuple(verdicts)})
    judged.write(path)
    return Finished(
        report=judged,
        report_path=path,
        baseline=known.shown(pipeline.gates),
        baseline_path=pipeline.run.baseline,
        bundles=bundles,
        steps=results,
    )


def _baselines(pipeline: Pipeline) -> Baselines:
    """Earlier runs, as they are before this one."""
    now = time.strftime(reports.CREATED, time.gmtime())
    place = pipeline.run.baseline
    return baseline.find(place, pipeline.name, before=now, machine=machine())


def _publish(results: Sequence[StepResult], home: Path) -> tuple[Path, ...]:
    """``bundle`` for the only package step; ``bundle-STEP`` where there are several."""
    made = {r.step.name: r.artifact for r in results if isinstance(r.artifact, Bundle)}
    return tuple(
        _copy(bundle, home / ("bundle" if len(made) == 1 else f"bundle-{step}"))
        for step, bundle in made.items()
    )


def _copy(bundle: Bundle, place: Path) -> Path:
    """``place`` is the bundle without the cache's own record; untouched if it is that already."""
    files = [f for f in disk.files_under(bundle.path) if f.as_posix() != RECORD]
    if _same(bundle.path, place, files):
        return place
    with disk.scratch(place.parent, prefix=".bundle-") as scratch:
        folder = disk.make_folder(scratch / "bundle")
        for file in files:
            disk.copy_file(bundle.path / file, folder / file)
        disk.replace_folder(folder, place)
    return place


def _same(made: Path, place: Path, files: Sequence[Path]) -> bool:
    return (
        place.is_dir()
        and disk.files_under(place) == list(files)
        and all(disk.sha256(made / file) == disk.sha256(place / file) for file in files)
    )
