"""A figure with its bounds, held against a gate's limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from edgepipe.pipeline.gate import (
    AgreementGate,
    Gate,
    LatencyGate,
    OperatorsGate,
    PercentileGate,
    RateGate,
    SlicesGate,
)
from edgepipe.pipeline.judge.scene import against_of
from edgepipe.pipeline.verdict import Outcome, Unit, Verdict


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a report says about a gate's figure. A bound that is None is unbounded."""

    value: float | None
    low: float | None
    high: float | None
    doubt: str = ""
    """Why the figures decide nothing, whatever they are."""
    mend: str = ""
    """What would decide, where the limit lies between the bounds."""
    fault: str = ""
    """What is wrong, where the gate fails."""
    note: str = ""
    details: tuple[str, ...] = ()


class _Limit(NamedTuple):
    at: float
    most: bool
    """The figure may be this at most; else, at least."""
    unit: Unit


def verdict_on(gate: Gate, found: Finding) -> Verdict:
    """The gate passes when the bound clears its limit, and fails when the other one violates it."""
    limit = _limit(gate)
    outcome = Outcome.INCONCLUSIVE if found.doubt else _outcome(limit, found)
    why = {
        Outcome.PASS: "",
        Outcome.FAIL: found.fault,
        Outcome.INCONCLUSIVE: found.doubt or found.mend,
    }
    return Verdict(
        measure=gate.measure,
        tier=gate.tier,
        of=gate.of,
        against=against_of(gate),
        part=_part(gate),
        outcome=outcome.value,
        unit=limit.unit,
        value=found.value,
        low=found.low,
        high=found.high,
        limit=limit.at,
        limit_is="at most" if limit.most else "at least",
        confidence=_confidence(gate),
        why=why[outcome],
        note=found.note,
        details=found.details,
    )


def _part(gate: Gate) -> str:
    """What tells the gate from another of the same measure, model and rival; often nothing."""
    match gate:
        case PercentileGate():
            return f"p{gate.percentile}"
        case SlicesGate():
            return f"by {gate.by}"
        case OperatorsGate():
            return _GRAPHS[gate.graph]
        case AgreementGate(on="unlabelled"):
            return "unlabelled texts"
        case _:
            return ""


_GRAPHS = {"file": "in the file", "executed": "as executed", "plain": "plain session"}


def _outcome(limit: _Limit, found: Finding) -> Outcome:
    worst, best = (found.high, found.low) if limit.most else (found.low, found.high)
    if worst is not None and (worst <= limit.at if limit.most else worst >= limit.at):
        return Outcome.PASS
    if best is not None and (best > limit.at if limit.most else best < limit.at):
        return Outcome.FAIL
    return Outcome.INCONCLUSIVE


def _confidence(gate: Gate) -> float | None:
    if isinstance(gate, PercentileGate | RateGate):
        return _LOADGEN
    return getattr(gate, "confidence", None)


_LOADGEN = 0.99
"""The confidence of early stopping, which percentiles and rates are measured with."""
_LIMITS: Mapping[str, tuple[str, Unit]] = {
    "accuracy": ("max_drop", "share"),
    "macro_f1": ("max_drop", "share"),
    "slices": ("max_drop", "share"),
    "agreement": ("min_agreement", "share"),
    "divergence": ("max_divergence", "nats"),
    "calibration": ("max_increase", "share"),
    "explanation": ("min_agreement", "correlation"),
    "tolerance": ("max_difference", "logits"),
    "size": ("max_bytes", "bytes"),
    "weights": ("max_bytes", "bytes"),
    "activations": ("max_bytes", "bytes"),
    "memory": ("max_bytes", "bytes"),
    "flops": ("max_flops", "flops"),
    "operators": ("", "rules"),
    "latency": ("min_speedup", "ratio"),
    "throughput": ("min_ratio", "ratio"),
    "percentile": ("max_ms", "ms"),
    "rate": ("min_rate", "per second"),
}
"""Which setting is the limit, and its unit; a rule that is broken is one too many."""


def _limit(gate: Gate) -> _Limit:
    ratio: float | None = getattr(gate, "max_ratio", None)
    if ratio is not None:
        return _Limit(ratio, most=True, unit="ratio")
    name, unit = _LIMITS[gate.measure]
    if isinstance(gate, LatencyGate):
        return _Limit(gate.limit, most=False, unit=unit)
    return _Limit(float(getattr(gate, name)) if name else 0.0, not name.startswith("min"), unit)
