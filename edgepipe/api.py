"""The command line's verbs as Python functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgepipe.errors import ExitCode, UsageError
from edgepipe.pipeline import baseline as baselines
from edgepipe.pipeline import report as reports
from edgepipe.pipeline.baseline import Baselines
from edgepipe.pipeline.gate import Gate
from edgepipe.pipeline.judge import judge
from edgepipe.pipeline.report import RunReport
from edgepipe.pipeline.verdict import Verdict, exit_code

if TYPE_CHECKING:  # judging a report takes less time than importing these
    from edgepipe.config.policy import Policy
    from edgepipe.measure.records import CountsReport
    from edgepipe.pipeline.job import Finished
    from edgepipe.pipeline.run import Listener, Planned

ARTIFACTS = Path("artifacts")
_UNTIMED = "not timed, since a gate on counts fails already"
_UNKNOWN = ("tolerance", "rate")
"""Counts and clocks that only a pipeline measures."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A report with its verdicts, and what it was compared with."""

    report: RunReport
    """With the gates that were judged and one verdict for each."""
    baseline: RunReport | None
    """The earlier report that decided, if there is one: that of the clocks, where they have one."""
    path: Path | None
    """Of the report; None where it was measured just now."""
    baseline_path: Path | None = None
    """The file or folder of baselines that the caller or the policy names, if one does."""

    @property
    def exit_code(self) -> ExitCode:
        """Fine, failed or inconclusive, as the verdicts say."""
        return exit_code(self.report.verdicts)


def plan(file: str | Path, *, root: str | Path = ARTIFACTS) -> list[Planned]:
    """What ``run`` would reuse and run, and why. Nothing is run or written.

    Raises ConfigError naming every mistake in the pipeline file.
    """
    from edgepipe.config import load
    from edgepipe.pipeline.run import Runner

    return Runner(pipeline=load(file), root=Path(root)).plan()


def run(
    file: str | Path, *, root: str | Path = ARTIFACTS, listener: Listener | None = None
) -> Finished:
    """``root/NAME`` holds the bundle, ``report.json`` and ``report.html``, the same to be read.

    The verdicts are in the result. A failed gate raises nothing: look at ``exit_code`` or
    ``report.verdicts``. Raises ConfigError for a wrong file, StageError for a step that could not
    work.
    """
    from edgepipe import disk
    from edgepipe.config import load
    from edgepipe.pipeline import job
    from edgepipe.pipeline.run import Listener
    from edgepipe.present.page import page

    finished = job.run(load(file), Path(root), listener or Listener())
    disk.write_text(
        finished.report_path.with_suffix(".html"), page(finished.report, finished.baseline)
    )
    return finished


def gate(
    report: str | Path,
    *,
    policy: str | Path | None = None,
    baseline: str | Path | None = None,
    gates: Sequence[Gate] | None = None,
) -> list[Verdict]:
    """One verdict for each gate of a committed report; of ``gates`` or of a policy file instead.

    ``baseline``: the report of an earlier run or a folder of them. Nothing is run anew. Raises
    UsageError where there is no report, no gate or no such baseline, or where the two cannot be
    compared; BundleError for a damaged report; ConfigError for a wrong policy.
    """
    return list(_judged(Path(report), policy, baseline, gates).report.verdicts)


def judged(
    report: str | Path, *, policy: str | Path | None = None, baseline: str | Path | None = None
) -> Judged:
    """The same, with the report and the baseline; nothing is written.

    Without ``baseline`` it is the policy's, or what lies in ``baselines`` beside the folder of the
    report.
    """
    return _judged(Path(report), policy, baseline, None)


def _judged(
    path: Path,
    policy: str | Path | None,
    baseline: str | Path | None,
    gates: Sequence[Gate] | None,
) -> Judged:
    rules = _policy(policy)
    found = reports.read(path)
    asked = tuple(gates) if gates is not None else rules.gates if rules else found.gates
    if not asked:
        raise UsageError(
            f"{path}: no gates to judge; add [[gate]] tables to the pipeline file, or name a policy"
        )
    place = _place(baseline, rules)
    given = place is not None
    if place is None:
        place = _beside(path)
    known = baselines.find(
        place,
        found.name,
        before=found.created,
        machine=found.machine,
        strict=given or any(map(baselines.since_baseline, asked)),
    )
    return replace(
        _with_verdicts(found, asked, known, path), baseline_path=place if given else None
    )


def compare(  # noqa: PLR0913 - a call with settings, all of them by name
    old: str | Path,
    new: str | Path,
    *,
    policy: str | Path | None = None,
    texts: Sequence[str] | None = None,
    threads: int = 1,
    seconds: float = 45.0,
    listener: Listener | None = None,
) -> Judged:
    """Two bundles measured side by side, now and here: ``old`` is the reference of ``new``.

    ``policy``: gates on counts and clocks with ``of = "new"`` and ``against = "old"``; its baseline
    is not read. Counts are judged first: where one fails, nothing is timed, and gates on clocks are
    inconclusive. Without a policy there are no verdicts.
    ``seconds``: how long to measure, at most. Raises BundleError for a bundle that is refused,
    UsageError for a gate on what is not measured here.
    """
    from edgepipe.pipeline import duel
    from edgepipe.pipeline.run import Listener, asked

    rules = _policy(policy)
    gates = rules.gates if rules else ()
    _require_live(gates)
    measured = duel.duel(
        Path(old),
        Path(new),
        texts=texts,
        threads=threads,
        seconds=seconds,
        asked=asked(gates, "old", {"new"}),
        worth_timing=lambda counts: not _fails(gates, counts),
        progress=(listener or Listener()).progress,
    )
    untimed = "" if duel.SPEED in measured.measured else _UNTIMED
    return _with_verdicts(measured, gates, baselines.NONE, None, untimed=untimed)


def _fails(gates: Sequence[Gate], counts: CountsReport) -> bool:
    """A gate on counts fails: the answer is there before any clock runs."""
    exact = [gate for gate in gates if gate.tier == "counts"]
    return exit_code(judge(exact, {"counts": counts})) == ExitCode.GATE_FAILED


def _require_live(gates: Sequence[Gate]) -> None:
    """Raise UsageError, before anything is measured, for a gate that two models cannot answer."""
    for gate in gates:
        against = getattr(gate, "against", "")
        if (
            (gate.of, gate.tier) not in (("new", "counts"), ("new", "clocks"))
            or gate.measure in _UNKNOWN
            or against not in ("", "old")
        ):
            raise UsageError(
                f"gate {gate.measure} of {gate.of!r}: two models side by side have counts and "
                "clocks, of 'new' or against 'old'; answers and rates are for a pipeline's gates"
            )


def _policy(file: str | Path | None) -> Policy | None:
    if file is None:
        return None
    from edgepipe.config.policy import load_policy

    return load_policy(file)


def _place(given: str | Path | None, rules: Policy | None) -> Path | None:
    """Where the baseline is said to be: a path that was asked for has to exist."""
    if given is not None:
        if not Path(given).exists():
            raise UsageError(f"{given}: there is no such baseline, neither report nor folder")
        return Path(given)
    return rules.baseline if rules else None


def _beside(report: Path) -> Path | None:
    """``baselines`` beside the folder of the report, where runs keep them."""
    beside = report.resolve().parent.parent / "baselines"
    return beside if beside.is_dir() else None


def _with_verdicts(
    report: RunReport,
    gates: tuple[Gate, ...],
    known: Baselines,
    path: Path | None,
    *,
    untimed: str = "",
) -> Judged:
    verdicts = tuple(judge(gates, report.measured, known, untimed=untimed))
    whole = report.model_copy(update={"gates": gates, "verdicts": verdicts})
    return Judged(report=whole, baseline=known.shown(gates), path=path)
