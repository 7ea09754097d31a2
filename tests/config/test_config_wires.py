from __future__ import annotations

from pathlib import Path

import pytest

from edgepipe.config import parse
from tests.config.files import WHOLE, changed, folder, line_of, only, problems


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return folder(tmp_path)


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        (
            '{ reference = ["teacher"], candidates = ["fp32"], data = "reviews" }',
            (
                "step.accuracy.from.reference: 'reference' takes Checkpoint or OnnxModel, "
                "got ['teacher']"
            ),
        ),
        (
            '{ reference = "teacher", candidates = "fp32", data = "reviews" }',
            (
                "step.accuracy.from.candidates: 'candidates' takes a list of Checkpoint or "
                "OnnxModel, "
                "got 'fp32'"
            ),
        ),
        (
            '{ reference = "teacher", candidates = [], data = "reviews" }',
            (
                "step.accuracy.from.candidates: 'candidates' takes a list of Checkpoint or "
                "OnnxModel, "
                "got none"
            ),
        ),
        (
            '{ reference = "teacher", candidates = ["fp32", "fp32"], data = "reviews" }',
            "step.accuracy.from.candidates: 'candidates' names a step twice: ['fp32', 'fp32']",
        ),
        (
            '{ reference = "reviews", candidates = ["fp32"], data = "reviews" }',
            (
                "step.accuracy.from.reference: 'reference' takes Checkpoint or OnnxModel, "
                "but 'reviews' makes Dataset"
            ),
        ),
        (
            '{ reference = "teacher", candidates = ["fp32"], data = "review" }',
            (
                "step.accuracy.from.data: 'data' reads 'review', which is no step; "
                "did you mean 'reviews'?"
            ),
        ),
        ('"teacher"', "step.accuracy.from: names steps: { port = 'step' }, got 'teacher'"),
        (
            "{ reference = 3 }",
            "step.accuracy.from: names steps: { port = 'step' }, got {'reference': 3}",
        ),
    ],
)
def test_wrong_wires(file: Path, wire: str, problem: str) -> None:
    old = '{ reference = "teacher", candidates = ["fp32", "int8"], data = "reviews" }'
    gates = WHOLE.index("[step.speed]")
    text = WHOLE[:gates].replace(old, wire)
    assert (line_of(text, f"from = {wire}\n"), problem) in problems(text, file)


def test_a_wire_left_open_is_told_at_the_step(file: Path) -> None:
    text = changed(('from = { model = "fp32" }', ""))
    assert only(text, file, "[step.int8]") == (
        "step.int8: nothing is wired to 'model': it takes OnnxModel"
    )


def test_every_circle_is_told_with_its_way(file: Path) -> None:
    text = """name = "x"
task = "text-classification"
[step.a]
use = "quantize"
from = { model = "b" }
[step.b]
use = "quantize"
from = { model = "a" }
[step.c]
use = "quantize"
from = { model = "c" }
"""
    found = problems(text, file)
    assert [told.split(": ", 1)[1] for _, told in found] in (
        ["steps in a circle: a -> b -> a", "steps in a circle: c -> c"],
        ["steps in a circle: b -> a -> b", "steps in a circle: c -> c"],
    )
    assert found[1][0] == 11


@pytest.mark.parametrize(
    ("change", "at", "problem"),
    [
        (
            ('of = "int8"\nagainst = "teacher"\nmax', 'of = "int9"\nagainst = "teacher"\nmax'),
            '"int9"',
            "gate.0.of: 'int9' is no candidate of a validate step; did you mean 'int8'?",
        ),
        (
            ('against = "teacher"\nmin', 'against = "fp32"\nmin'),
            'against = "fp32"',
            "gate.1.against: 'fp32' is not the reference of a benchmark step; that is teacher",
        ),
        (
            ('use = "benchmark"', 'use = "validate"'),
            '[[gate]]\nmeasure = "latency"',
            "gate.1: no step with use = 'benchmark' measures latency",
        ),
        (
            ('measure = "latency"', 'measure = "latancy"'),
            '"latancy"',
            (
                "gate.1.measure: has to be one of 'accuracy', 'macro_f1', 'slices', 'agreement', "
                "'divergence', 'calibration', 'explanation', 'tolerance', 'size', 'weights', "
                "'activations', 'memory', 'flops', 'operators', 'latency', 'throughput', "
                "'percentile', 'rate', got \"latancy\"; did you mean 'latency'?"
            ),
        ),
        (('measure = "latency"\n', ""), '[[gate]]\nof = "int8"', "gate.1.measure: is missing"),
        (
            ("max_drop = 0.02", "max_drop = 2"),
            "max_drop",
            "gate.0.max_drop: has to be less than or equal to 1, got 2",
        ),
        (
            ("max_drop = 0.02", "max_drop = nan"),
            "max_drop",
            "gate.0.max_drop: has to be a finite number, got NaN",
        ),
        (
            (
                'measure = "accuracy"\nof = "int8"\nagainst = "teacher"\nmax_drop = 0.02',
                'measure = "size"\nof = "int8"\nagainst = "teacher"',
            ),
            '[[gate]]\nmeasure = "size"',
            "gate.0: has either max_ratio or a limit of its own",
        ),
    ],
)
def test_wrong_gates(file: Path, change: tuple[str, str], at: str, problem: str) -> None:
    assert only(changed(change), file, at) == problem


def test_a_gate_between_models_that_no_single_step_compares(file: Path) -> None:
    text = changed(
        (
            "[step.bundle]",
            (
                '[step.other]\nuse = "validate"\n'
                'from = { reference = "int8", candidates = ["teacher"], data = "reviews" }\n'
                "[step.bundle]"
            ),
        ),
        ('of = "int8"\nagainst = "teacher"\nmax', 'of = "fp32"\nagainst = "int8"\nmax'),
    )
    assert only(text, file, '[[gate]]\nmeasure = "accuracy"') == (
        "gate.0: no validate step compares 'fp32' with 'int8'"
    )


def test_the_arm_with_default_options_may_be_gated(file: Path) -> None:
    text = changed(
        (
            'of = "int8"\nagainst = "teacher"\nmin',
            'of = "int8 (plain session)"\nagainst = "teacher"\nmin',
        ),
    )
    assert parse(text, file).gates[1].of == "int8 (plain session)"
