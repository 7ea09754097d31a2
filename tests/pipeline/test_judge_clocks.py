from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from edgepipe.errors import UsageError
from edgepipe.measure.records import BenchmarkReport, ServerRate
from edgepipe.pipeline.baseline import Baselines
from edgepipe.pipeline.gate import LatencyGate, PercentileGate, RateGate, ThroughputGate
from tests.pipeline.judging import ON, SINCE, one, since, whole
from tests.pipeline.measured import MACHINE, OTHER_MACHINE, benchmark, speedup

RATIOS = [[2.05, 2.06, 2.07], [2.08, 2.09, 2.10], [2.06, 2.07, 2.08], [2.04, 2.05, 2.06]]
SLOWER = [[value - 0.2 for value in blocks] for blocks in RATIOS]


def latency_gate(least: float, confidence: float = 0.95, **on: str) -> LatencyGate:
    return LatencyGate(measure="latency", min_speedup=least, confidence=confidence, **(on or ON))


def offline(report: BenchmarkReport, ratios: list[list[float]] = RATIOS) -> BenchmarkReport:
    """The same throughput as latency."""
    return report.model_copy(update={"throughputs": (speedup("int8", ratios),)})


def timed(calls: int, p90: float | None, p99: float | None, **more: object) -> BenchmarkReport:
    """``int8`` with those percentiles; quantiles from 1 to 11 ms, a tenth of a millisecond each."""
    report = benchmark(RATIOS, **more)
    (arm,) = report.candidates
    quantiles = tuple(1 + n / 10 for n in range(101))
    update = {"calls": calls, "p90_ms": p90, "p99_ms": p99, "quantiles_ms": quantiles}
    return report.model_copy(update={"candidates": (arm.model_copy(update=update),)})


def served(held: float, refused: float | None, **more: object) -> BenchmarkReport:
    rate = ServerRate(
        name="int8", bound_ms=10.0, percentile=99, held=held, refused=refused, queries=700
    )
    return benchmark(RATIOS, **more).model_copy(update={"server": (rate,)})


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("measure", ["latency", "throughput"])
def test_ratios_by_students_t_over_processes(measure: str, confidence: float) -> None:
    means = np.mean(RATIOS, axis=1)
    reach = stats.t.ppf(confidence, 3) * means.std(ddof=1) / 2
    low, high = math.exp(means.mean() - reach), math.exp(means.mean() + reach)
    report = offline(benchmark(RATIOS))

    def at(limit: float) -> str:
        gate = latency_gate(limit, confidence)
        if measure == "throughput":
            gate = ThroughputGate(
                measure="throughput", min_ratio=limit, confidence=confidence, **ON
            )
        found = one(gate, report)
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6)
        assert (found.value, found.limit_is, found.unit) == (8.0, "at least", "ratio")
        return found.outcome

    assert at(low - 1e-4) == "pass"
    assert at(low + 1e-4) == "inconclusive"
    assert at(high - 1e-4) == "inconclusive"
    assert at(high + 1e-4) == "fail"


def test_a_slowdown_that_is_allowed_is_a_limit_from_the_other_side() -> None:
    even = [[-0.04], [-0.042], [-0.041], [-0.039]]  # 4 % slower
    report = benchmark(even)
    for most, outcome in ((0.05, "pass"), (0.03, "fail")):
        gate = LatencyGate(measure="latency", max_slowdown=most, **ON)
        assert (found := one(gate, report)).outcome == outcome
        assert found.limit == pytest.approx(1 / (1 + most))


DOUBT = ("A/A is 1.2x", "two")


@pytest.mark.parametrize(
    ("gate", "report"),
    [
        (latency_gate(1.0), benchmark(RATIOS, doubts=DOUBT)),
        (latency_gate(100.0), benchmark(RATIOS, doubts=DOUBT)),
        (
            ThroughputGate(measure="throughput", min_ratio=1.0, **ON),
            offline(benchmark(RATIOS, doubts=DOUBT)),
        ),
        (
            PercentileGate(measure="percentile", of="int8", max_ms=99.0),
            timed(1000, 5.0, 9.0, doubts=DOUBT),
        ),
        (
            PercentileGate(measure="percentile", of="int8", max_ms=1.0),
            timed(1000, 5.0, 9.0, doubts=DOUBT),
        ),
        (RateGate(measure="rate", of="int8", min_rate=1.0), served(9.0, 10.0, doubts=DOUBT)),
        (RateGate(measure="rate", of="int8", min_rate=99.0), served(9.0, 10.0, doubts=DOUBT)),
    ],
    ids=["latency", "slow", "throughput", "percentile", "late", "rate", "low rate"],
)
def test_a_doubt_leaves_clocks_open_whatever_the_figures_say(
    gate: LatencyGate, report: BenchmarkReport
) -> None:
    sure = report.model_copy(update={"doubts": ()})
    assert one(gate, sure).outcome != "inconclusive"
    found = one(gate, report)
    assert (found.outcome, found.why) == ("inconclusive", "A/A is 1.2x; two")


def test_throughput_that_was_not_measured_says_what_to_add() -> None:
    with pytest.raises(UsageError, match="give the benchmark step a `batch`"):
        one(ThroughputGate(measure="throughput", min_ratio=1.0, **ON), benchmark(RATIOS))


def test_since_the_baseline_by_welchs_test_over_processes() -> None:
    """The same reference in both runs: 20 % (in logarithms) was lost on it."""
    new, old = np.mean(SLOWER, axis=1), np.mean(RATIOS, axis=1)
    expected = stats.ttest_ind(new, old, equal_var=False).confidence_interval(0.9)
    found = one(latency_gate(1.0, **SINCE), benchmark(SLOWER), baselines=since(benchmark(RATIOS)))
    assert found.outcome == "fail"
    assert found.value == pytest.approx(math.exp(-0.2))
    assert (found.low, found.high) == pytest.approx(
        (math.exp(expected.low), math.exp(expected.high)), rel=1e-6
    )
    assert found.note.startswith("both runs relative to 'teacher', CPU time")


def test_throughput_since_the_baseline() -> None:
    gate = ThroughputGate(measure="throughput", min_ratio=0.9, **SINCE)
    now = offline(benchmark(RATIOS))
    assert one(gate, now, baselines=since(offline(benchmark(RATIOS)))).outcome == "pass"
    other = offline(benchmark(RATIOS)).model_copy(update={"batch": 99})
    with pytest.raises(UsageError, match=r"another batch \(5 now, 99 then\)"):
        one(gate, now, baselines=since(other))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"machine": OTHER_MACHINE}, r"another machine \(Some CPU, id \w+ now, Another CPU, id"),
        ({"device": "cuda"}, r"another device \(cpu now, cuda then\)"),
        ({"threads": 2}, r"another number of threads \(1 now, 2 then\)"),
        ({"clock": "wall"}, r"another clock \(cpu now, wall then\)"),
        ({"texts_sha256": "others"}, r"another set of texts, by its SHA-256 \(the texts now, oth"),
        ({"threads": 4, "clock": "wall"}, "number of threads .*, another clock"),
    ],
)
def test_clocks_under_other_conditions_are_refused(
    changes: dict[str, object], problem: str
) -> None:
    before = benchmark(RATIOS).model_copy(update=changes)
    with pytest.raises(UsageError, match=problem):
        one(latency_gate(1.0, **SINCE), benchmark(RATIOS), baselines=since(before))


def test_clocks_against_another_reference_are_refused() -> None:
    before = benchmark(RATIOS)
    teacher = before.reference.model_copy(update={"digest": "trained anew"})
    before = before.model_copy(update={"reference": teacher})
    with pytest.raises(UsageError, match="another reference, by its digest"):
        one(latency_gate(1.0, **SINCE), benchmark(RATIOS), baselines=since(before))


def test_a_baseline_of_another_machine_is_none() -> None:
    there = whole(benchmark(RATIOS, machine=OTHER_MACHINE), machine=OTHER_MACHINE)
    known = Baselines(newest=there, here=None, place="art", machine="Some CPU, 2 cores")
    found = one(latency_gate(1.0, **SINCE), benchmark(RATIOS), baselines=known)
    assert (found.outcome, found.value) == ("inconclusive", None)
    assert "no baseline of this machine (Some CPU, 2 cores) in art" in found.why
    assert "copy the report.json of a run that is good" in found.why


def test_a_doubt_of_the_baseline_is_a_doubt() -> None:
    before = since(benchmark(RATIOS, doubts=("noisy",)))
    found = one(latency_gate(0.5, **SINCE), benchmark(RATIOS), baselines=before)
    assert (found.outcome, found.why) == ("inconclusive", "the baseline's: noisy")


def test_what_was_installed_since_the_baseline_is_told() -> None:
    older = MACHINE.model_copy(update={"packages": {"onnxruntime": "1.30.0", "numpy": "2"}})
    before = since(benchmark(RATIOS, machine=older))
    found = one(latency_gate(0.5, **SINCE), benchmark(RATIOS), baselines=before)
    assert "since then numpy 2 -> absent, onnxruntime 1.30.0 -> 1.31.1" in found.note


def test_a_percentile_passes_below_its_upper_bound_and_fails_above_its_lower() -> None:
    """Of 1000 calls, 18 over the 99th percentile are less likely than 1 %: 98.2 % lie under it.

    By whole percents the lower bound is the quantile at 98 %, 10.8 ms.
    """
    assert stats.binom.sf(18, 1000, 0.01) < 0.01 < stats.binom.sf(17, 1000, 0.01)

    def at(limit: float) -> str:
        gate = PercentileGate(measure="percentile", of="int8", max_ms=limit)
        found = one(gate, timed(1000, 9.9, 10.95))
        assert (found.value, found.low, found.high) == (10.95, 10.8, 10.95)
        assert (found.unit, found.limit_is, found.confidence) == ("ms", "at most", 0.99)
        return found.outcome

    assert at(10.95) == "pass"
    assert at(10.94) == at(10.8) == "inconclusive"
    assert at(10.79) == "fail"


def test_the_90th_percentile_is_another() -> None:
    gate = PercentileGate(measure="percentile", of="int8", percentile=90, max_ms=9.0)
    assert one(gate, timed(100, 8.9, None)).outcome == "pass"


@pytest.mark.parametrize(("percentile", "calls", "needs"), [(90, 63, 64), (99, 661, 662)])
@pytest.mark.parametrize("limit", [0.001, 1000.0])
def test_a_percentile_of_too_few_calls_says_how_many(
    percentile: int, calls: int, needs: int, limit: float
) -> None:
    gate = PercentileGate(measure="percentile", of="int8", percentile=percentile, max_ms=limit)
    found = one(gate, timed(calls, None, None))
    assert (found.outcome, found.value) == ("inconclusive", None)
    assert found.why == f"{calls} timed calls are too few; that percentile needs {needs}"


@pytest.mark.parametrize(
    ("held", "refused", "outcome"),
    [
        (100.0, 110.0, "pass"),
        (100.0, None, "pass"),
        (90.0, 110.0, "inconclusive"),
        (90.0, None, "inconclusive"),
        (90.0, 100.0, "fail"),
        (80.0, 90.0, "fail"),
        (0.0, 50.0, "fail"),
        (0.0, 150.0, "inconclusive"),
    ],
)
def test_a_rate_that_held_bounds_from_below_and_one_that_did_not_from_above(
    held: float, refused: float | None, outcome: str
) -> None:
    found = one(RateGate(measure="rate", of="int8", min_rate=100.0), served(held, refused))
    assert (found.outcome, found.value, found.unit) == (outcome, held, "per second")
    assert found.note == "p99 within 10 ms over 700 queries"
    assert (found.why != "") == (outcome == "inconclusive")


def test_a_rate_that_was_not_measured_says_what_to_add() -> None:
    with pytest.raises(UsageError, match="give the benchmark step a `server_bound_ms`"):
        one(RateGate(measure="rate", of="int8", min_rate=1.0), benchmark(RATIOS))


def off(report: BenchmarkReport, share: float) -> BenchmarkReport:
    """The sentinel found the reference so much faster than itself; no doubt was told."""
    by = math.log1p(share)
    control = speedup("the reference again", [[by], [by + 1e-5], [by - 1e-5]], 1.0)
    return report.model_copy(update={"control": control})


@pytest.mark.parametrize(
    ("gate", "report"),
    [
        (latency_gate(1.0), benchmark(RATIOS)),
        (ThroughputGate(measure="throughput", min_ratio=1.0, **ON), offline(benchmark(RATIOS))),
        (PercentileGate(measure="percentile", of="int8", max_ms=99.0), timed(1000, 5.0, 9.0)),
        (RateGate(measure="rate", of="int8", min_rate=1.0), served(9.0, 10.0)),
    ],
    ids=["latency", "throughput", "percentile", "rate"],
)
def test_the_sentinel_is_judged_again_whatever_doubts_are_told(
    gate: LatencyGate, report: BenchmarkReport
) -> None:
    assert one(gate, off(report, 0.019)).outcome == "pass"
    found = one(gate, off(report, 0.05))
    assert found.outcome == "inconclusive"
    assert "the reference beside itself came out 1.050 times as fast" in found.why


def test_the_sentinel_of_the_baseline_is_judged_again() -> None:
    found = one(
        latency_gate(0.5, **SINCE), benchmark(RATIOS), baselines=since(off(benchmark(RATIOS), 0.05))
    )
    assert found.outcome == "inconclusive"
    assert found.why.startswith("the baseline's: the reference beside itself")


def test_a_strict_limit_asks_for_a_better_machine() -> None:
    """2 % slower is allowed, so that 1.5 % of bias decides; 8 times as fast is beyond that."""
    even = benchmark([[0.0], [0.0001], [-0.0001]])
    gate = LatencyGate(measure="latency", max_slowdown=0.02, **ON)
    assert one(gate, off(even, 0.015)).outcome == "inconclusive"
    assert one(gate, off(even, 0.009)).outcome == "pass"
    assert one(gate, off(benchmark(RATIOS), 0.015)).outcome == "pass"


@pytest.mark.parametrize(("percentile", "calls"), [(90, 63), (99, 661)])
def test_a_percentile_told_from_too_few_calls_is_not_believed(percentile: int, calls: int) -> None:
    gate = PercentileGate(measure="percentile", of="int8", percentile=percentile, max_ms=99.0)
    found = one(gate, timed(calls, 1.0, 1.0))
    assert (found.outcome, found.value) == ("inconclusive", None)
    assert "too few" in found.why
