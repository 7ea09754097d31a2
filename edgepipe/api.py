"""The command line's verbs as Python functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgepipe.config import load
from edgepipe.errors import UsageError
from edgepipe.pipeline import job
from edgepipe.pipeline import report as reports
from edgepipe.pipeline.gate import Gate
from edgepipe.pipeline.job import Finished
from edgepipe.pipeline.judge import judge
from edgepipe.pipeline.run import Listener, Planned, Runner
from edgepipe.pipeline.verdict import Verdict

ARTIFACTS = Path("artifacts")


def plan(file: str | Path, *, root: str | Path = ARTIFACTS) -> list[Planned]:
    """What ``run`` would reuse and run, and why. Nothing is run or written.

    Raises ConfigError naming every mistake in the pipeline file.
    """
    return Runner(pipeline=load(file), root=Path(root)).plan()


def run(
    file: str | Path, *, root: str | Path = ARTIFACTS, listener: Listener | None = None
) -> Finished:
    """``root/NAME`` holds the bundle and ``report.json``; the verdicts are in the result.

    A failed gate raises nothing: look at ``exit_code`` or ``report.verdicts``. Raises ConfigError
    for a wrong file, StageError where a step could not work.
    """
    return job.run(load(file), Path(root), listener or Listener())


def gate(report: str | Path, *, gates: Sequence[Gate] | None = None) -> list[Verdict]:
    """One verdict for each gate of a committed report, or for each of ``gates`` instead.

    Nothing is run anew. Raises UsageError where there is no report or no gate, BundleError for a
    damaged report.
    """
    found = reports.read(Path(report))
    asked = found.gates if gates is None else gates
    if not asked:
        raise UsageError(f"{report}: no gates to judge; add [[gate]] tables to the pipeline file")
    return judge(asked, list(found.measured.values()))
