"""Gates over committed reports: pass, fail or inconclusive, with the bound that decided."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from edgepipe.errors import BundleError, UsageError
from edgepipe.measure.records import BenchmarkReport, ValidationReport
from edgepipe.pipeline.gate import AccuracyGate, AgreementGate, Gate, LatencyGate, SizeGate
from edgepipe.pipeline.verdict import Outcome, Verdict

Measured = ValidationReport | BenchmarkReport
R = TypeVar("R", ValidationReport, BenchmarkReport)


def judge(gates: Iterable[Gate], reports: Sequence[Measured]) -> list[Verdict]:
    """One verdict a gate, in order.

    Raises UsageError when no report holds what a gate asks for, BundleError when one contradicts
    itself.
    """
    return [_checked(gate, reports) for gate in gates]


def _checked(gate: Gate, reports: Sequence[Measured]) -> Verdict:
    try:
        return _judge(gate, reports)
    except (ValueError, StopIteration, ZeroDivisionError) as error:
        reason = str(error) or "figures are missing"
        raise BundleError(f"gate {gate.measure} of {gate.of!r}: wrong report: {reason}") from error


def _judge(gate: Gate, reports: Sequence[Measured]) -> Verdict:
    match gate:
        case AccuracyGate():
            return _accuracy(gate, _find(gate, reports, ValidationReport))
        case AgreementGate():
            return _agreement(gate, _find(gate, reports, ValidationReport))
        case SizeGate():
            return _size(gate, _find(gate, reports, ValidationReport))
        case LatencyGate():
            return _latency(gate, _find(gate, reports, BenchmarkReport))


def _find(gate: Gate, reports: Sequence[Measured], kind: type[R]) -> R:
    for report in reports:
        if (
            isinstance(report, kind)
            and report.reference.name == gate.against
            and any(arm.name == gate.of for arm in report.candidates)
        ):
            return report
    raise UsageError(
        f"gate {gate.measure} of {gate.of!r}: no report measures it against {gate.against!r}"
    )


def _verdict(  # noqa: PLR0913 - one call, everything named
    gate: Gate,
    *,
    value: float,
    low: float,
    high: float,
    limit: float,
    at_most: bool,
    confidence: float | None,
    note: str = "",
    doubt: str = "",
) -> Verdict:
    passes = high <= limit if at_most else low >= limit
    fails = low > limit if at_most else high < limit
    outcome = Outcome.PASS if passes else Outcome.FAIL if fails else Outcome.INCONCLUSIVE
    if doubt:
        outcome = Outcome.INCONCLUSIVE
    return Verdict(
        measure=gate.measure,
        tier=gate.tier,
        unit="share",
        of=gate.of,
        against=gate.against,
        outcome=outcome.value,
        value=value,
        low=low,
        high=high,
        limit=limit,
        limit_is="at most" if at_most else "at least",
        confidence=confidence,
        note=doubt or note,
    )


def _accuracy(gate: AccuracyGate, report: ValidationReport) -> Verdict:
    from edgepipe.measure.statistics import drop_bounds

    found = next(c for c in report.comparisons if c.candidate == gate.of)
    b, c, n = found.reference_only, found.candidate_only, found.examples
    bounds = drop_bounds(b, c, n, confidence=gate.confidence)
    return _verdict(
        gate,
        value=found.drop,
        low=bounds.low,
        high=bounds.high,
        limit=gate.max_drop,
        at_most=True,
        confidence=gate.confidence,
        note=_power(b + c, n, gate),
    )


def _power(discordant: int, examples: int, gate: AccuracyGate) -> str:
    """How many texts decide with 90 % power: (z_confidence + z_0.9)^2 flip rate / margin^2."""
    from scipy.stats import norm

    if gate.max_drop == 0 or discordant == 0:
        return ""
    reach = float(norm.ppf(gate.confidence) + norm.ppf(0.9))
    need = math.ceil(reach**2 * (discordant / examples) / gate.max_drop**2)
    return f"{examples} texts; about {need} would decide 9 times in 10 if nothing is lost"


def _agreement(gate: AgreementGate, report: ValidationReport) -> Verdict:
    from scipy.stats import binomtest

    found = next(c for c in report.comparisons if c.candidate == gate.of)
    alike = found.examples - found.flipped
    two_sided = 1 - 2 * (1 - gate.confidence)
    bounds = binomtest(alike, found.examples).proportion_ci(two_sided, method="wilson")
    return _verdict(
        gate,
        value=found.agreement,
        low=float(bounds.low),
        high=float(bounds.high),
        limit=gate.min_agreement,
        at_most=False,
        confidence=gate.confidence,
    )


def _size(gate: SizeGate, report: ValidationReport) -> Verdict:
    found = next(arm for arm in report.candidates if arm.name == gate.of)
    if gate.max_bytes is not None:
        value, limit = float(found.bytes), float(gate.max_bytes)
    else:
        value, limit = found.bytes / report.reference.bytes, gate.max_ratio or 0.0
    return _verdict(
        gate, value=value, low=value, high=value, limit=limit, at_most=True, confidence=None
    )


def _latency(gate: LatencyGate, report: BenchmarkReport) -> Verdict:
    from edgepipe.measure.statistics import ratio_bounds

    found = next(s for s in report.speedups if s.candidate == gate.of)
    bounds = ratio_bounds(found.log_ratios, confidence=gate.confidence)
    return _verdict(
        gate,
        value=found.ratio,
        low=bounds.low,
        high=bounds.high,
        limit=gate.limit,
        at_most=False,
        confidence=gate.confidence,
        doubt="; ".join(report.doubts),
    )
