from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from edgepipe.errors import BundleError, ExitCode, UsageError
from edgepipe.pipeline.gate import AccuracyGate, AgreementGate, LatencyGate, SizeGate
from edgepipe.pipeline.judge import exit_code, judge
from tests.pipeline.measured import benchmark, validation

ON = {"of": "int8", "against": "teacher"}


def accuracy_gate(max_drop: float, confidence: float = 0.95) -> AccuracyGate:
    return AccuracyGate(measure="accuracy", max_drop=max_drop, confidence=confidence, **ON)


def agreement_gate(least: float) -> AgreementGate:
    return AgreementGate(measure="agreement", min_agreement=least, **ON)


def latency_gate(least: float, confidence: float = 0.95, of: str = "int8") -> LatencyGate:
    return LatencyGate(
        measure="latency", min_speedup=least, confidence=confidence, of=of, against="teacher"
    )


def one(gate, *reports):
    (verdict,) = judge([gate], reports)
    return verdict


def drop_bound(b: int, c: int, n: int, confidence: float) -> float:
    """Upper bound of a paired drop: the score test, its likeliest q found by search."""

    def score(drop: float) -> float:
        low, high = max(0.0, -drop), (1 - drop) / 2

        def unlikely(q: float) -> float:
            parts = ((b, q + drop), (c, q), (n - b - c, 1 - 2 * q - drop))
            return -sum(count * math.log(max(share, 1e-300)) for count, share in parts)

        best = optimize.minimize_scalar(
            unlikely, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
        )
        variance = n * (2 * best.x + drop * (1 - drop))
        return (b - c - n * drop) / math.sqrt(variance) + stats.norm.ppf(confidence)

    return optimize.brentq(score, (b - c) / n + 1e-9, 0.5)


@pytest.mark.parametrize(("b", "c"), [(60, 50), (40, 42), (8, 1), (100, 100)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_an_accuracy_gate_passes_within_its_bound_and_fails_beyond_the_other(
    b: int, c: int, confidence: float
) -> None:
    report = validation(b, c, 2000)
    high = drop_bound(b, c, 2000, confidence)
    low = -drop_bound(c, b, 2000, confidence)
    found = one(accuracy_gate(high + 1e-5, confidence), report)
    assert (found.value, found.confidence) == ((b - c) / 2000, confidence)
    assert found.high == pytest.approx(high, abs=1e-6)
    assert found.low == pytest.approx(low, abs=1e-6)
    assert found.outcome == "pass"
    assert one(accuracy_gate(high - 1e-5, confidence), report).outcome == "inconclusive"
    if low > 0:
        assert one(accuracy_gate(low + 1e-5, confidence), report).outcome == "inconclusive"
        assert one(accuracy_gate(low - 1e-5, confidence), report).outcome == "fail"


def test_the_power_that_is_told_is_that_of_the_gates_confidence() -> None:
    """(1.645 + 1.2816)^2 = 8.564 and (2.326 + 1.2816)^2 = 13.017, times 0.05 / 0.02^2."""
    report = validation(60, 40, 2000)
    assert "2000 texts; about 1071 would" in one(accuracy_gate(0.02), report).note
    assert "2000 texts; about 1628 would" in one(accuracy_gate(0.02, 0.99), report).note
    assert one(accuracy_gate(0.0), report).note == ""


def wilson(count: int, total: int, z: float) -> tuple[float, float]:
    """Wilson 1927, by hand."""
    share = count / total
    middle = share + z * z / (2 * total)
    reach = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (middle - reach) / (1 + z * z / total), (middle + reach) / (1 + z * z / total)


def test_an_agreement_gate_by_wilsons_bounds() -> None:
    report = validation(flipped=40, examples=1000)
    low, high = wilson(960, 1000, 1.6448536269514722)
    found = one(agreement_gate(low - 1e-6), report)
    assert (found.value, found.limit_is) == (0.96, "at least")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert found.outcome == "pass"
    assert one(agreement_gate(low + 1e-6), report).outcome == "inconclusive"
    assert one(agreement_gate(high - 1e-6), report).outcome == "inconclusive"
    assert one(agreement_gate(high + 1e-6), report).outcome == "fail"


@pytest.mark.parametrize(
    ("limits", "outcome", "value"),
    [
        ({"max_ratio": 0.25}, "pass", 0.25),
        ({"max_ratio": 0.2499}, "fail", 0.25),
        ({"max_bytes": 25}, "pass", 25),
        ({"max_bytes": 24}, "fail", 25),
    ],
)
def test_a_size_gate_is_exact(limits: dict[str, float], outcome: str, value: float) -> None:
    found = one(SizeGate(measure="size", **limits, **ON), validation(size=25))
    assert (found.outcome, found.value, found.confidence) == (outcome, value, None)
    assert found.low == found.high == value


RATIOS = [[2.05, 2.06, 2.07], [2.08, 2.09, 2.10], [2.06, 2.07, 2.08], [2.04, 2.05, 2.06]]


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_a_latency_gate_by_students_t_over_processes(confidence: float) -> None:
    means = np.mean(RATIOS, axis=1)
    reach = stats.t.ppf(confidence, 3) * means.std(ddof=1) / 2
    low, high = math.exp(means.mean() - reach), math.exp(means.mean() + reach)
    report = benchmark(RATIOS)
    found = one(latency_gate(low - 1e-6, confidence), report)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6)
    assert found.outcome == "pass"
    assert one(latency_gate(low + 1e-6, confidence), report).outcome == "inconclusive"
    assert one(latency_gate(high - 1e-6, confidence), report).outcome == "inconclusive"
    assert one(latency_gate(high + 1e-6, confidence), report).outcome == "fail"


@pytest.mark.parametrize("limit", [1.0, 100.0])
def test_a_doubt_leaves_latency_open_whatever_the_figures_say(limit: float) -> None:
    sure, doubtful = benchmark(RATIOS), benchmark(RATIOS, doubts=("A/A is 1.2x", "two"))
    assert one(latency_gate(limit), sure).outcome != "inconclusive"
    found = one(latency_gate(limit), doubtful)
    assert (found.outcome, found.note) == ("inconclusive", "A/A is 1.2x; two")


def test_a_gate_finds_its_report_among_several() -> None:
    other = validation(0, 0, names=("fp32", "int8"))
    worse = validation(400, 0)
    name = "int8 (plain session)"
    found = judge(
        [accuracy_gate(0.01), latency_gate(2.0, of=name)],
        [benchmark(RATIOS), other, worse, benchmark(RATIOS, name=name)],
    )
    assert [(verdict.of, verdict.outcome) for verdict in found] == [
        ("int8", "fail"),
        (name, "pass"),
    ]


def test_a_gate_about_what_nobody_measured_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="no report measures it against 'teacher'"):
        judge([latency_gate(2.0)], [validation()])
    with pytest.raises(UsageError, match="accuracy of 'int8'"):
        judge([accuracy_gate(0.1)], [validation(names=("teacher", "fp32"))])


def test_a_report_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(BundleError, match="latency of 'int8': wrong report: a ratio needs two"):
        judge([latency_gate(2.0)], [benchmark(RATIOS[:1])])
    with pytest.raises(BundleError, match="accuracy of 'int8': wrong report"):
        judge([accuracy_gate(0.1)], [validation(7, 7, 10)])
    empty = validation().model_copy(update={"comparisons": ()})
    with pytest.raises(BundleError, match="figures are missing"):
        judge([accuracy_gate(0.1)], [empty])


def test_a_failure_outweighs_a_doubt_and_a_doubt_a_pass() -> None:
    report, speed = validation(60, 50), benchmark(RATIOS)
    passed, open_, failed = judge(
        [accuracy_gate(0.5), accuracy_gate(0.006), latency_gate(100.0)], [report, speed]
    )
    assert exit_code([passed, open_, failed]) is ExitCode.GATE_FAILED == 4
    assert exit_code([open_, passed]) is ExitCode.INCONCLUSIVE == 5
    assert exit_code([passed]) is exit_code([]) is ExitCode.OK == 0
