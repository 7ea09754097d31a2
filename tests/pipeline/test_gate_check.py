"""The real stages, so that a setting which is called otherwise there shows here."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from edgepipe.pipeline.gate import Gate
from edgepipe.pipeline.gate_check import check_gates
from edgepipe.pipeline.graph import Draft
from edgepipe.stages import stage_class

COMPARE = {"reference": "teacher", "candidates": ("fp32", "int8"), "data": "reviews"}
OF = {"of": "int8", "against": "teacher"}


def draft(name: str, use: str, wires: dict[str, Any], **settings: object) -> Draft:
    stage = stage_class(use)
    return Draft(name=name, use=use, stage=stage, wires=wires, settings=stage(**settings))


def steps(
    validate: dict[str, object] | None = None,
    benchmark: dict[str, object] | None = None,
    **wires: str,
) -> list[Draft]:
    return [
        draft("tests", "validate", {**COMPARE, **wires}, **(validate or {})),
        draft("speed", "benchmark", COMPARE, **(benchmark or {})),
        draft("counted", "count", {"models": ("fp32", "int8", "small")}),
    ]


def problems(gate: dict[str, object], *drafts: Draft, baseline: bool = False) -> list[str]:
    """What is wrong, as ``where: text``."""
    found: Gate = TypeAdapter(Gate).validate_python(gate, strict=False)
    return [
        ".".join(map(str, problem.at)) + ": " + problem.text
        for problem in check_gates({0: found}, drafts or steps(), baseline=baseline)
    ]


@pytest.mark.parametrize(
    "gate",
    [
        {"measure": "accuracy", "max_drop": 0.1, **OF},
        {"measure": "macro_f1", "max_drop": 0.1, **OF},
        {"measure": "slices", "max_drop": 0.1, "by": "length", **OF},
        {"measure": "agreement", "min_agreement": 0.9, **OF},
        {"measure": "divergence", "max_divergence": 0.1, **OF},
        {"measure": "calibration", "max_increase": 0.1, **OF},
        {"measure": "explanation", "min_agreement": 0.9, **OF},
        {"measure": "tolerance", "max_difference": 0.1, **OF},
        {"measure": "size", "max_bytes": 1, "of": "int8"},
        {"measure": "size", "max_ratio": 0.5, "of": "int8", "against": "fp32"},
        {"measure": "size", "max_ratio": 0.5, **OF},
        {"measure": "weights", "max_bytes": 1, "of": "small"},
        {"measure": "activations", "max_ratio": 0.5, "of": "int8", "against": "small"},
        {"measure": "memory", "max_bytes": 1, "of": "int8"},
        {"measure": "flops", "max_flops": 1.0, "of": "int8"},
        {"measure": "operators", "required": ["Gelu"], "of": "int8"},
        {"measure": "latency", "min_speedup": 2.0, **OF},
        {"measure": "latency", "min_speedup": 2.0, **OF, "of": "int8 (plain session)"},
        {"measure": "throughput", "min_ratio": 2.0, **OF},
        {"measure": "percentile", "max_ms": 2.0, "of": "int8"},
        {"measure": "percentile", "max_ms": 2.0, "of": "int8 (plain session)"},
    ],
    ids=str,
)  # fmt: skip
def test_gates_that_the_steps_answer(gate: dict[str, object]) -> None:
    assert problems(gate) == []


@pytest.mark.parametrize(
    ("gate", "problem"),
    [
        (
            {"measure": "percentile", "max_ms": 2.0, "of": "int4"},
            "gate.0.of: 'int4' is no candidate of a benchmark step; did you mean 'int8'?",
        ),
        (
            {"measure": "weights", "max_bytes": 1, "of": "teacher"},
            "gate.0.of: 'teacher' is no candidate of a count step",
        ),
        (
            {"measure": "flops", "max_ratio": 1.0, "of": "int8", "against": "teacher"},
            (
                "gate.0.against: 'teacher' is not among the models of a count step; those are "
                "fp32, int8, small"
            ),
        ),
        (
            {"measure": "size", "max_ratio": 1.0, "of": "int8", "against": "techer"},
            (
                "gate.0.against: 'techer' is not among the models of a validate step; did you mean "
                "'teacher'?"
            ),
        ),
        (
            {"measure": "throughput", "min_ratio": 1.0, "of": "int8", "against": "fp32"},
            "gate.0.against: 'fp32' is not the reference of a benchmark step; that is teacher",
        ),
        (
            {"measure": "slices", "max_drop": 0.1, "by": "language", **OF},
            "gate.0.by: [step.tests] does not cut by 'language'; add it to its slices",
        ),
        (
            {"measure": "agreement", "min_agreement": 0.9, "on": "unlabelled", **OF},
            (
                "gate.0.on: [step.tests] has no unlabelled texts; wire a texts step to its port "
                "unlabelled"
            ),
        ),
        (
            {"measure": "rate", "min_rate": 9.0, "of": "int8"},
            (
                "gate.0: [step.speed] measures no rate; give it a server_bound_ms, the latency to "
                "hold"
            ),
        ),
    ],
)
def test_gates_that_they_do_not(gate: dict[str, object], problem: str) -> None:
    assert problems(gate) == [problem]


def test_settings_and_wires_that_bring_the_figure() -> None:
    slices = {"measure": "slices", "max_drop": 0.1, "by": "language", **OF}
    assert problems(slices, *steps({"slices": ("length", "language")})) == []
    rate = {"measure": "rate", "min_rate": 9.0, "of": "int8"}
    assert problems(rate, *steps(benchmark={"server_bound_ms": 20.0})) == []
    agreement = {"measure": "agreement", "min_agreement": 0.9, "on": "unlabelled", **OF}
    assert problems(agreement, *steps(unlabelled="more")) == []
    explanation = {"measure": "explanation", "min_agreement": 0.9, **OF}
    assert problems(explanation, *steps({"explain": 0})) == [
        "gate.0: [step.tests] explains no texts; give it explain, how many to explain"
    ]


def test_one_of_several_steps_is_enough() -> None:
    first, *others = steps({"explain": 0})
    second = draft("more", "validate", COMPARE, explain=20)
    gate = {"measure": "explanation", "min_agreement": 0.9, **OF}
    assert problems(gate, first, second, *others) == []


@pytest.mark.parametrize(
    "gate",
    [
        {"measure": "size", "max_bytes": 1, "of": "int8"},
        {"measure": "accuracy", "max_drop": 0.1, **OF},
        {"measure": "slices", "max_drop": 0.1, "by": "length", **OF},
    ],
    ids=lambda gate: gate["measure"],
)
def test_several_steps_that_find_the_same_may_be_there(gate: dict[str, object]) -> None:
    first, *others = steps({"explain": 0})
    second = draft("more", "validate", COMPARE, explain=20, slices=("length",))
    assert problems(gate, first, second, *others) == []


@pytest.mark.parametrize(
    ("gate", "use", "settings", "names"),
    [
        (
            {"measure": "accuracy", "max_drop": 0.1, **OF},
            "validate", {"split": "validation"}, "[step.tests], [step.more]",
        ),
        (
            {"measure": "latency", "min_speedup": 2.0, **OF},
            "benchmark", {}, "[step.speed], [step.more]",
        ),
        (
            {"measure": "percentile", "max_ms": 2.0, "of": "int8 (plain session)"},
            "benchmark", {}, "[step.speed], [step.more]",
        ),
    ],
)  # fmt: skip
def test_several_steps_that_may_differ_are_refused(
    gate: dict[str, object], use: str, settings: dict[str, object], names: str
) -> None:
    second = draft("more", use, COMPARE, **settings)
    assert problems(gate, *steps(), second) == [
        f"gate.0: {names} each measure it in their own way; leave {gate['of']!r} to one of them"
    ]
    apart = draft("more", use, {**COMPARE, "candidates": ("fp32",)}, **settings)
    assert problems(gate, *steps(), apart) == []


def test_a_plain_session_has_to_be_timed() -> None:
    gate = {"measure": "latency", "min_speedup": 2.0, **OF, "of": "int8 (plain session)"}
    assert problems(gate, *steps(benchmark={"plain": False})) == [
        "gate.0.of: [step.speed] times no plain session; give it plain = true"
    ]
    checkpoint = Draft(name="int8", use="checkpoint", stage=stage_class("checkpoint"), wires={})
    assert problems(gate, *steps(), checkpoint) == [
        "gate.0.of: 'int8' is no ONNX model, and only those have plain sessions"
    ]


def test_a_step_with_wrong_settings_brings_no_complaints_about_gates() -> None:
    broken = Draft(name="tests", use="validate", stage=stage_class("validate"), wires=COMPARE)
    gate = {"measure": "explanation", "min_agreement": 0.9, **OF}
    assert problems(gate, broken) == []


@pytest.mark.parametrize(
    "gate",
    [
        {"measure": "accuracy", "max_drop": 0.1},
        {"measure": "agreement", "min_agreement": 0.9},
        {"measure": "size", "max_ratio": 1.0},
        {"measure": "operators"},
        {"measure": "latency", "min_speedup": 1.0},
    ],
    ids=lambda gate: gate["measure"],
)
def test_a_gate_against_the_baseline_needs_one(gate: dict[str, object]) -> None:
    gate = {**gate, "of": "int8", "against": "baseline"}
    assert problems(gate, baseline=True) == []
    assert problems(gate) == [
        'gate.0.against: against = "baseline" needs one: [run] baseline = "../artifacts/baselines"'
    ]


@pytest.mark.parametrize(
    "gate",
    [
        {"measure": "divergence", "max_divergence": 0.1},
        {"measure": "calibration", "max_increase": 0.1},
        {"measure": "explanation", "min_agreement": 0.1},
        {"measure": "tolerance", "max_difference": 0.1},
    ],
    ids=lambda gate: gate["measure"],
)
def test_what_no_baseline_can_tell(gate: dict[str, object]) -> None:
    found = problems({**gate, "of": "int8", "against": "baseline"}, baseline=True)
    assert found == [
        f"gate.0.against: {gate['measure']} is measured against the reference of the step only"
    ]


def test_no_step_may_be_called_baseline() -> None:
    drafts = [*steps(), draft("baseline", "count", {"models": ("int8",)})]
    found = problems({"measure": "accuracy", "max_drop": 0.1, **OF}, *drafts)
    assert found == [
        "step.baseline: 'baseline' means an earlier report in a gate; choose another name"
    ]
