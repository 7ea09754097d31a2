"""What gates are judged on: this run's reports and the baseline's, and how to find an arm there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from edgepipe.errors import UsageError
from edgepipe.measure.records import BenchmarkReport, CountsReport, Measured, ValidationReport
from edgepipe.pipeline.baseline import Baselines
from edgepipe.pipeline.gate import (
    BASELINE,
    AgreementGate,
    ExplanationGate,
    Gate,
    RateGate,
    SizeGate,
    SlicesGate,
    ThroughputGate,
)

R = TypeVar("R", ValidationReport, BenchmarkReport, CountsReport)
Kind = type[ValidationReport] | type[BenchmarkReport] | type[CountsReport]
_KIND: Mapping[str, tuple[Kind, ...]] = {
    "validate": (ValidationReport,),
    "benchmark": (BenchmarkReport,),
    "count": (CountsReport,),
}


class MissingBaselineError(Exception):
    """There is nothing to compare with: the verdict is inconclusive, and says how to mend it."""


@dataclass(frozen=True)
class Sight(Generic[R]):
    """A report and the step that left it."""

    step: str
    report: R


@dataclass(frozen=True)
class Scene:
    """This run's reports, by the name of their step, and earlier runs."""

    measured: Mapping[str, Measured]
    baselines: Baselines

    def alone(self, gate: Gate) -> list[Scene]:
        """A scene for each report that answers the gate, with no other; this one where none does.

        The order of a report's steps is not kept, so a gate may not depend on it: it is judged on
        each of these, and all have to say the same.
        """
        kinds = (ValidationReport, CountsReport) if isinstance(gate, SizeGate) else _KIND[gate.step]
        for kind in kinds:
            fitting = self._fitting(gate, kind)
            able = {step: report for step, report in fitting.items() if holds(gate, report)}
            if fitting:
                found = (able or fitting).items()
                return [Scene({step: report}, self.baselines) for step, report in found]
        return [self]

    def report(self, gate: Gate, kind: type[R]) -> Sight[R]:
        """The report with the gate's candidate, and with what it is against.

        Raises UsageError when no step measured that.
        """
        for step, report in self._fitting(gate, kind).items():
            if isinstance(report, kind):
                return Sight(step, report)
        against = against_of(gate)
        beside = "" if against in ("", BASELINE) else f" against {against!r}"
        raise UsageError(f"{title(gate)}: no report of a {gate.step} step measures it{beside}")

    def measures(self, gate: Gate, kind: type[R]) -> bool:
        """Whether there is such a report."""
        return bool(self._fitting(gate, kind))

    def _fitting(self, gate: Gate, kind: Kind) -> dict[str, Measured]:
        """Reports of the kind with the gate's models, by step."""
        against = against_of(gate)
        return {
            step: report
            for step, report in self.measured.items()
            if isinstance(report, kind)
            and gate.of in candidates(report)
            and (against in ("", BASELINE) or against in _rivals(gate, report))
        }

    def earlier(self, gate: Gate, now: Sight[R], *, same_machine: bool) -> R:
        """The baseline's report with the same candidate, that of the same step if there is one.

        One that has the figure asked for comes before. Raises MissingBaselineError without one.
        """
        run = self.baselines.here if same_machine else self.baselines.newest
        if run is None:
            raise MissingBaselineError(self.baselines.why_none(same_machine=same_machine))
        fitting = {
            step: report
            for step, report in run.measured.items()
            if isinstance(report, type(now.report)) and gate.of in candidates(report)
        }
        if fitting:
            return fitting[
                min(fitting, key=lambda s: (not holds(gate, fitting[s]), s != now.step, s))
            ]
        raise MissingBaselineError(
            f"the baseline of {run.created} measured no {gate.of!r} in a {gate.step} step; make the"
            " report of a run that did the baseline"
        )


def holds(gate: Gate, report: Measured) -> bool:
    """Whether a report of the right kind, with the gate's models, has the figure asked for."""
    match gate, report:
        case SlicesGate(), ValidationReport():
            return any(cut.by == gate.by for cut in report.slices)
        case AgreementGate(on="unlabelled"), ValidationReport():
            return bool(report.unlabelled)
        case ExplanationGate(), ValidationReport():
            found = (c.explanation for c in report.comparisons if c.candidate == gate.of)
            return next(found, None) is not None
        case ThroughputGate(), BenchmarkReport():
            return bool(report.throughputs)
        case RateGate(), BenchmarkReport():
            return any(rate.name == gate.of for rate in report.server)
        case _:
            return True


def candidates(report: Measured) -> tuple[str, ...]:
    """What a gate may be about."""
    arms = report.models if isinstance(report, CountsReport) else report.candidates
    return tuple(arm.name for arm in arms)


def _rivals(gate: Gate, report: Measured) -> tuple[str, ...]:
    """What a gate may be against: the reference, or for counts any other model."""
    if isinstance(report, CountsReport):
        return candidates(report)
    every = candidates(report) if isinstance(gate, SizeGate) else ()
    return (report.reference.name, *every)


def against_of(gate: Gate) -> str:
    """What the gate compares with; empty where it has a limit of its own."""
    return str(getattr(gate, "against", ""))


def title(gate: Gate) -> str:
    """What messages call a gate."""
    return f"gate {gate.measure} of {gate.of!r}"


def require_same(gate: Gate, named: Mapping[str, tuple[object, object]]) -> None:
    """Raise UsageError naming everything that is not the same in this report and the baseline."""
    apart = [f"{name} ({new} now, {old} then)" for name, (new, old) in named.items() if new != old]
    if apart:
        listed = ", another ".join(apart)
        raise UsageError(f"{title(gate)}: the baseline cannot be compared, it has another {listed}")
