"""Gates on clocks: inconclusive as soon as the machine cannot tell a model from itself."""

from __future__ import annotations

import math

from edgepipe.errors import UsageError
from edgepipe.measure import stopping
from edgepipe.measure.records import ArmTimes, BenchmarkReport, Speedup
from edgepipe.measure.statistics import (
    percentile_needs,
    percentile_rank,
    ratio_bounds,
    ratio_estimate,
    ratio_of_ratios_bounds,
)
from edgepipe.pipeline.gate import (
    BASELINE,
    Gate,
    LatencyGate,
    PercentileGate,
    RateGate,
    ThroughputGate,
)
from edgepipe.pipeline.judge.finding import Finding
from edgepipe.pipeline.judge.scene import Scene, require_same, title

_LONGER = "the limit lies between the bounds; a benchmark with more `seconds` brings them together"
_SEPARATOR = "; "


def find(gate: Gate, scene: Scene) -> Finding:
    """The figure of any gate of this tier."""
    match gate:
        case LatencyGate() | ThroughputGate():
            if gate.against == BASELINE:
                return _since_baseline(gate, scene)
            return _ratio(gate, scene.report(gate, BenchmarkReport).report)
        case PercentileGate():
            return _percentile(gate, scene.report(gate, BenchmarkReport).report)
        case RateGate():
            return _rate(gate, scene.report(gate, BenchmarkReport).report)
        case _:
            raise TypeError(f"{gate.measure} is of another tier")


def _ratio(gate: LatencyGate | ThroughputGate, report: BenchmarkReport) -> Finding:
    found = _speedup(gate, report)
    bounds = ratio_bounds(found.log_ratios, confidence=gate.confidence)
    center = math.exp(ratio_estimate(found.log_ratios)[0])
    return Finding(
        value=found.ratio,
        low=bounds.low,
        high=bounds.high,
        doubt=_SEPARATOR.join(_doubts(report, stopping.tolerable(_limit(gate), center))),
        mend=_LONGER,
        note=f"{len(found.log_ratios)} process rounds, {_clock(report)}",
    )


def _since_baseline(gate: LatencyGate | ThroughputGate, scene: Scene) -> Finding:
    """Both runs against the same reference, on the same machine and texts."""
    now = scene.report(gate, BenchmarkReport)
    report = now.report
    then = scene.earlier(gate, now, same_machine=True)
    _require_same_conditions(gate, report, then)
    new, old = _speedup(gate, report).log_ratios, _speedup(gate, then).log_ratios
    bounds = ratio_of_ratios_bounds(new, old, confidence=gate.confidence)
    common = f"both runs relative to {report.reference.name!r}, {_clock(report)}"
    center = math.exp(ratio_estimate(new)[0] - ratio_estimate(old)[0])
    most = stopping.tolerable(_limit(gate), center)
    earlier = (f"the baseline's: {doubt}" for doubt in _doubts(then, most))
    doubts = (*_doubts(report, most), *earlier)
    return Finding(
        value=center,
        low=bounds.low,
        high=bounds.high,
        doubt=_SEPARATOR.join(doubts),
        mend=_LONGER,
        note=_SEPARATOR.join([common, *_updates(report, then)]),
    )


def _limit(gate: LatencyGate | ThroughputGate) -> float:
    return gate.limit if isinstance(gate, LatencyGate) else gate.min_ratio


def _doubts(report: BenchmarkReport, most: float = stopping.BIAS) -> tuple[str, ...]:
    """Those that were told, and that of the sentinel, which is judged here again.

    A report that leaves it out, or a gate too strict for what the sentinel was allowed, is none
    the surer for it.
    """
    again = stopping.bias(report.control.log_ratios, "single texts", most)
    return tuple(dict.fromkeys(filter(None, (*report.doubts, again))))


def _require_same_conditions(gate: Gate, new: BenchmarkReport, old: BenchmarkReport) -> None:
    same: dict[str, tuple[object, object]] = {
        "machine": (_machine(new), _machine(old)),
        "device": (new.device, old.device),
        "number of threads": (new.threads, old.threads),
        "clock": (new.clock, old.clock),
        "set of texts, by its SHA-256": (new.texts_sha256[:12], old.texts_sha256[:12]),
        "reference, by its digest": (new.reference.digest[:12], old.reference.digest[:12]),
    }
    if isinstance(gate, ThroughputGate):
        same["batch"] = (new.batch, old.batch)
    require_same(gate, same)


def _machine(report: BenchmarkReport) -> str:
    return f"{report.machine.cpu}, id {report.machine.machine_id}"


def _updates(new: BenchmarkReport, old: BenchmarkReport) -> list[str]:
    """Packages that changed: what slows the reference as well does not show in a ratio to it."""
    before, now = old.machine.packages, new.machine.packages
    changed = [
        f"{name} {before.get(name, 'absent')} -> {now.get(name, 'absent')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    return [f"since then {', '.join(changed)}"] if changed else []


def _clock(report: BenchmarkReport) -> str:
    return "CPU time" if report.clock == "cpu" else "wall time"


def _speedup(gate: LatencyGate | ThroughputGate, report: BenchmarkReport) -> Speedup:
    if isinstance(gate, LatencyGate):
        found = report.speedups
    elif not report.throughputs:
        raise UsageError(
            f"{title(gate)}: throughput was not measured; give the benchmark step a `batch`"
        )
    else:
        found = report.throughputs
    return next(speedup for speedup in found if speedup.candidate == gate.of)


def _percentile(gate: PercentileGate, report: BenchmarkReport) -> Finding:
    """LoadGen's order statistic bounds the percentile from above; one like it, from below."""
    arm = report.arm(gate.of)
    needs = percentile_needs(gate.percentile)
    told = arm.p90_ms if gate.percentile == 90 else arm.p99_ms  # noqa: PLR2004 - the percentile
    value = told if arm.calls >= needs else None
    few = f"{arm.calls} timed calls are too few; that percentile needs {needs}"
    doubts = [*_doubts(report), *([few] if value is None else [])]
    return Finding(
        value=value,
        low=_percentile_low(arm, gate.percentile),
        high=value,
        doubt=_SEPARATOR.join(doubts),
        mend=_LONGER,
        note=f"{arm.calls} calls, wall time",
    )


def _percentile_low(arm: ArmTimes, percentile: float) -> float | None:
    """From whole percents, the only ones that a report keeps: a little lower than it could be."""
    highest = percentile_rank(arm.calls, percentile)
    whole = math.floor((len(arm.quantiles_ms) - 1) * (1 - highest / max(1, arm.calls)))
    return arm.quantiles_ms[whole] if whole >= 0 and highest <= arm.calls else None


def _rate(gate: RateGate, report: BenchmarkReport) -> Finding:
    """A rate that held bounds the highest one from below; one that provably did not, from above."""
    found = next((rate for rate in report.server if rate.name == gate.of), None)
    if found is None:
        raise UsageError(
            f"{title(gate)}: no rate was measured; give the benchmark step a `server_bound_ms`"
        )
    tried = "no rate provably did not" if found.refused is None else f"{found.refused:g} did not"
    return Finding(
        value=found.held,
        low=found.held,
        high=None if found.refused is None else math.nextafter(found.refused, 0),
        doubt=_SEPARATOR.join(_doubts(report)),
        mend=f"{found.held:g} per second held, {tried}; a longer benchmark tries rates between",
        note=f"p{found.percentile:g} within {found.bound_ms:g} ms over {found.queries} queries",
    )
