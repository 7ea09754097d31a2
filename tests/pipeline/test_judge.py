from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from edgepipe.errors import BundleError, ExitCode, UsageError
from edgepipe.measure.records import BenchmarkReport, Explanation, ValidationReport
from edgepipe.pipeline.baseline import Baselines
from edgepipe.pipeline.gate import AccuracyGate, Gate, LatencyGate, SizeGate
from edgepipe.pipeline.judge import judge
from edgepipe.pipeline.judge.finding import Finding, verdict_on
from edgepipe.pipeline.verdict import exit_code
from tests.pipeline.judging import ON, SINCE, one, since, steps, whole
from tests.pipeline.measured import OTHER_MACHINE, benchmark, counts, estimate, validation

RATIOS = [[2.05, 2.06, 2.07], [2.08, 2.09, 2.10], [2.06, 2.07, 2.08], [2.04, 2.05, 2.06]]
ACCURACY = AccuracyGate(measure="accuracy", max_drop=0.1, **ON)
EVERY = {
    "accuracy": {"max_drop": 0.1, **ON},
    "macro_f1": {"max_drop": 0.1, **ON},
    "slices": {"max_drop": 0.1, "by": "length", **ON},
    "agreement": {"min_agreement": 0.5, **ON},
    "divergence": {"max_divergence": 0.1, **ON},
    "calibration": {"max_increase": 0.1, **ON},
    "explanation": {"min_agreement": 0.5, **ON},
    "tolerance": {"max_difference": 1.0, **ON},
    "size": {"max_bytes": 1, "of": "int8"},
    "weights": {"max_bytes": 1, "of": "int8"},
    "activations": {"max_bytes": 1, "of": "int8"},
    "memory": {"max_bytes": 1, "of": "int8"},
    "flops": {"max_flops": 1.0, "of": "int8"},
    "operators": {"required": ["MatMul"], "of": "int8"},
    "latency": {"min_speedup": 2.0, **ON},
    "throughput": {"min_ratio": 2.0, **ON},
    "percentile": {"max_ms": 1.0, "of": "int8"},
    "rate": {"min_rate": 1.0, "of": "int8"},
}


def gate_of(measure: str, **changes: object) -> Gate:
    table = {"measure": measure, **EVERY[measure], **changes}
    gate: Gate = TypeAdapter(Gate).validate_python(table, strict=False)
    return gate


def test_every_measure_is_here() -> None:
    (union, _) = get_args(Gate)
    measures = [m for kind in get_args(union) for m in _words(kind)]
    assert sorted(measures) == sorted(EVERY)


def _words(kind: type) -> tuple[str, ...]:
    return get_args(kind.model_fields["measure"].annotation)


@pytest.mark.parametrize("measure", sorted(EVERY))
def test_a_gate_on_a_model_that_nobody_measured_is_a_wrong_call(measure: str) -> None:
    gate = gate_of(measure, of="int4")
    reports = (validation(), counts(), benchmark(RATIOS))
    with pytest.raises(UsageError, match=f"gate {measure} of 'int4': no report of a {gate.step}"):
        one(gate, *reports)
    with pytest.raises(UsageError, match="no report"):
        one(gate_of(measure))


def test_a_gate_against_what_is_not_its_reference_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="measures it against 'fp32'"):
        one(ACCURACY.model_copy(update={"against": "fp32"}), validation())


def test_a_gate_finds_its_report_among_several() -> None:
    other = validation(0, 0, names=("fp32", "int8"))
    worse = validation(600, 0)
    name = "int8 (plain session)"
    speed = LatencyGate(measure="latency", min_speedup=2.0, of=name, against="teacher")
    reports = [benchmark(RATIOS), other, worse, benchmark(RATIOS, name=name)]
    found = judge([ACCURACY, speed], steps(*reports))
    assert [(verdict.of, verdict.outcome) for verdict in found] == [
        ("int8", "fail"),
        (name, "pass"),
    ]


@pytest.mark.parametrize("names", [("first", "second"), ("second", "first")])
def test_no_gate_depends_on_the_order_of_the_steps(names: tuple[str, str]) -> None:
    """A run has them in the order they ran in, a report that is read back in that of the names."""
    good, bad = validation(), validation(600, 0)
    with pytest.raises(UsageError, match="the steps first, second measured it, and differ"):
        judge([ACCURACY], dict(zip(names, (good, bad), strict=True)))
    (alike,) = judge([ACCURACY], dict(zip(names, (good, good), strict=True)))
    assert alike == one(ACCURACY, good)
    (size,) = judge([gate_of("size")], dict(zip(names, (good, bad), strict=True)))
    assert size.value == 25  # the same in both, whatever the answers


@pytest.mark.parametrize("names", [("first", "second"), ("second", "first")])
@pytest.mark.parametrize("measure", ["slices", "explanation", "throughput"])
def test_the_step_that_has_the_figure_is_the_one(measure: str, names: tuple[str, str]) -> None:
    answers, clocks = validation(), benchmark(RATIOS)
    (comparison,) = answers.comparisons
    why = Explanation(
        method="m", texts=50, rank_agreement=estimate(0.9), same_top_word=1, examples=()
    )
    explained = comparison.model_copy(update={"explanation": why})
    with_figure, without = {
        "slices": (answers, answers.model_copy(update={"slices": ()})),
        "explanation": (answers.model_copy(update={"comparisons": (explained,)}), answers),
        "throughput": (clocks.model_copy(update={"throughputs": clocks.speedups}), clocks),
    }[measure]
    both = dict(zip(names, (with_figure, without), strict=True))
    (found,) = judge([gate_of(measure)], both)
    assert found == one(gate_of(measure), with_figure)
    with pytest.raises(UsageError, match=f"gate {measure} of 'int8': .* step"):
        one(gate_of(measure), without)


def test_gates_of_one_measure_and_model_can_be_told_apart() -> None:
    parts = {
        "percentile": [({"percentile": 90}, "p90"), ({"percentile": 99}, "p99")],
        "slices": [({}, "by length")],
        "operators": [
            ({"graph": "file"}, "in the file"),
            ({}, "as executed"),
            ({"graph": "plain"}, "plain session"),
        ],
        "accuracy": [({}, "")],
    }
    for measure, cases in parts.items():
        for changes, part in cases:
            gate = gate_of(measure, **changes)
            assert one(gate, validation(), counts(), benchmark(RATIOS)).part == part
    unlabelled = gate_of("agreement", on="unlabelled")
    nothing = Finding(value=None, low=None, high=None)
    assert verdict_on(unlabelled, nothing).part == "unlabelled texts"
    assert verdict_on(gate_of("agreement"), nothing).part == ""


@pytest.mark.parametrize("measure", ["accuracy", "latency"])
def test_the_baseline_that_decides_is_named(measure: str) -> None:
    reports = (validation(), benchmark(RATIOS))
    there = whole(*reports, created="2026-05-01T00:00:00Z", machine=OTHER_MACHINE)
    known = Baselines(
        newest=there, newest_path=Path("b/there.json"), here=whole(*reports),
        here_path=Path("b/here.json"),
    )  # fmt: skip
    ends = {
        "accuracy": "; the baseline is there.json of 2026-05-01T00:00:00Z",
        "latency": "; the baseline is here.json of 2026-01-01T00:00:00Z of Some CPU, 2 cores",
    }
    assert one(gate_of(measure, **SINCE), *reports, baselines=known).note.endswith(ends[measure])
    assert "the baseline is" not in one(gate_of(measure), *reports, baselines=known).note


@pytest.mark.parametrize("measure", ["accuracy", "macro_f1", "slices", "agreement"])
def test_against_the_same_answers_in_a_baseline(measure: str) -> None:
    report = validation(20, 10)
    found = one(gate_of(measure, **SINCE), report, baselines=since(report))
    assert (found.outcome, found.against) == ("pass", "baseline")
    assert found.value == (1 if measure == "agreement" else 0)


def test_the_baselines_report_of_the_same_step_comes_first() -> None:
    now = {"tests": validation(), "more": validation(100, 0)}
    before = whole().model_copy(update={"measured": {"other": validation(90, 0), **now}})
    gate = AccuracyGate(measure="accuracy", max_drop=0.1, **SINCE)
    (found,) = judge([gate], now, Baselines(newest=before))
    assert found.value == 0


@pytest.mark.parametrize(
    "measure", ["accuracy", "macro_f1", "slices", "agreement", "latency", "throughput"]
)
def test_without_a_baseline_nothing_is_decided_and_the_way_to_one_told(measure: str) -> None:
    reports = (validation(), counts(), benchmark(RATIOS))
    found = one(gate_of(measure, **SINCE), *reports)
    assert (found.outcome, found.value, found.low, found.high) == ("inconclusive",) + (None,) * 3
    assert found.why.startswith("no baseline was given; copy the report.json of a run that is good")


@pytest.mark.parametrize("measure", ["size", "weights", "activations", "memory", "flops"])
def test_a_missing_baseline_of_counts(measure: str) -> None:
    limits = {"max_bytes": None, "max_flops": None, "max_ratio": 1.0, **SINCE}
    keep = {"flops": "max_flops"}.get(measure, "max_bytes")
    changes = {k: v for k, v in limits.items() if k == keep or v is not None}
    found = one(gate_of(measure, **changes), validation(), counts())
    assert (found.outcome, found.unit, found.limit) == ("inconclusive", "ratio", 1.0)


def test_a_baseline_without_the_model_decides_nothing() -> None:
    gate = AccuracyGate(measure="accuracy", max_drop=0.1, **SINCE)
    found = one(gate, validation(), baselines=since(validation(names=("teacher", "fp32"))))
    assert found.outcome == "inconclusive"
    assert "the baseline of 2026-01-01T00:00:00Z measured no 'int8'" in found.why


def test_where_a_baseline_was_looked_for_is_told() -> None:
    gate = SizeGate(measure="size", max_ratio=1.0, **SINCE)
    found = one(gate, validation(), baselines=Baselines(place=Path("art/baselines")))
    assert "there is no baseline yet in art/baselines" in found.why


def test_a_report_that_contradicts_itself_is_refused() -> None:
    latency = gate_of("latency")
    speed = benchmark(RATIOS)
    (found,) = speed.speedups
    few = found.model_copy(update={"log_ratios": found.log_ratios[:1]})
    once = speed.model_copy(update={"speedups": (few,)})
    with pytest.raises(BundleError, match="latency of 'int8': wrong report: a ratio needs two"):
        one(latency, once)
    empty = benchmark(RATIOS).model_copy(update={"speedups": ()})
    with pytest.raises(BundleError, match="figures are missing"):
        one(latency, empty)


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-Infinity"])
def test_figures_that_are_none_do_not_enter_a_report(bad: str) -> None:
    """As Python writes it: the records refuse it, so no gate ever compares with it."""
    text = validation().model_dump_json(by_alias=True)
    with pytest.raises(ValidationError, match="finite number"):
        ValidationReport.model_validate_json(
            text.replace('"max_logit_difference":0.5', f'"max_logit_difference":{bad}')
        )
    text = benchmark(RATIOS).model_dump_json(by_alias=True)
    with pytest.raises(ValidationError, match="finite number"):
        BenchmarkReport.model_validate_json(text.replace("2.05", bad, 1))


def test_a_failure_outweighs_a_doubt_and_a_doubt_a_pass() -> None:
    report, speed = validation(60, 50), benchmark(RATIOS)
    passed, open_, failed = judge(
        [
            gate_of("accuracy", max_drop=0.5),
            gate_of("accuracy", max_drop=0.006),
            gate_of("latency", min_speedup=100.0),
        ],
        steps(report, speed),
    )
    assert exit_code([passed, open_, failed]) is ExitCode.GATE_FAILED == 4
    assert exit_code([open_, passed]) is ExitCode.INCONCLUSIVE == 5
    assert exit_code([passed]) is exit_code([]) is ExitCode.OK == 0
