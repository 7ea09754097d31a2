"""What gates are judged on: this run's reports and the baseline's, and how to find an arm there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from edgepipe.errors import UsageError
from edgepipe.measure.records import BenchmarkReport, CountsReport, Measured, ValidationReport
from edgepipe.pipeline.baseline import Baselines
from edgepipe.pipeline.gate import BASELINE, Gate, SizeGate

R = TypeVar("R", ValidationReport, BenchmarkReport, CountsReport)


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

    def report(self, gate: Gate, kind: type[R]) -> Sight[R]:
        """The first report with the gate's candidate, and with what it is against.

        Raises UsageError when no step measured that.
        """
        for sight in self._sights(gate, kind):
            return sight
        against = against_of(gate)
        beside = "" if against in ("", BASELINE) else f" against {against!r}"
        raise UsageError(f"{title(gate)}: no report of a {gate.step} step measures it{beside}")

    def measures(self, gate: Gate, kind: type[R]) -> bool:
        """Whether there is such a report."""
        return any(self._sights(gate, kind))

    def _sights(self, gate: Gate, kind: type[R]) -> Iterator[Sight[R]]:
        against = against_of(gate)
        for step, report in self.measured.items():
            if (
                isinstance(report, kind)
                and gate.of in candidates(report)
                and (against in ("", BASELINE) or against in _rivals(gate, report))
            ):
                yield Sight(step, report)

    def earlier(self, gate: Gate, now: Sight[R], *, same_machine: bool) -> R:
        """The baseline's report with the same candidate, that of the same step if there is one.

        Raises MissingBaselineError without one.
        """
        run = self.baselines.here if same_machine else self.baselines.newest
        if run is None:
            raise MissingBaselineError(self.baselines.why_none(same_machine=same_machine))
        for step in sorted(run.measured, key=lambda step: step != now.step):
            report = run.measured[step]
            if isinstance(report, type(now.report)) and gate.of in candidates(report):
                return report
        raise MissingBaselineError(
            f"the baseline of {run.created} measured no {gate.of!r} in a {gate.step} step; make the"
            " report of a run that did the baseline"
        )


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
