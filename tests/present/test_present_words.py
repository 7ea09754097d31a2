from __future__ import annotations

from typing import get_args

import pytest

from edgepipe.pipeline.gate import Gate
from edgepipe.pipeline.verdict import Unit
from edgepipe.present import words
from tests.present.judged import SIZE, SPEED, THREE, report, verdict


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "ms", "none"),
        (0.0152, "share", "1.52%"),
        (0.99987, "share", "99.99%"),
        (0.000012, "share", "0.0012%"),
        (-1e-15, "share", "0.00%"),
        (8.6, "ratio", "8.60x"),
        (0.9999, "ratio", "1.00x"),
        (123.4, "ratio", "123x"),
        (999, "bytes", "999 bytes"),
        (1000, "bytes", "1.00 kB"),
        (18_240_000, "bytes", "18.2 MB"),
        (999_999_999, "bytes", "1000 MB"),
        (2.5e9, "flops", "2.50 GFLOP"),
        (2.345, "ms", "2.35 ms"),
        (1234.5, "per second", "1234 per second"),
        (0.01234, "nats", "0.0123 nats"),
        (0.0000123, "logits", "1.23e-05"),
        (0.0, "logits", "0"),
        (-0.25, "correlation", "-0.250"),
        (1, "rules", "1 broken rule"),
        (2, "rules", "2 broken rules"),
    ],
)
def test_figures(value: float | None, unit: Unit, shown: str) -> None:
    assert words.figure(value, unit) == shown


def test_every_measure_and_every_unit_has_words() -> None:
    measures = {
        name
        for gate in get_args(get_args(Gate)[0])
        for name in get_args(gate.model_fields["measure"].annotation)
    }
    assert measures == set(words.MEASURES)
    assert len({words.figure(1.0, unit) for unit in get_args(Unit)}) >= len(get_args(Unit)) - 1


def test_a_sentence_says_what_was_asked_what_was_found_and_how_sure_it_is() -> None:
    assert words.sentence(verdict(note="2000 texts")) == (
        "PASS         int8 against teacher: accuracy drop 0.50 points (one-sided bounds at 95%: "
        "-0.10 to 1.10 points); at most 2.00 points asked [2000 texts]"
    )
    assert words.sentence(SIZE) == (
        "FAIL         int8: size of the files 18.2 MB; at most 18.0 MB asked: grew"
    )
    assert words.sentence(SPEED) == (
        "INCONCLUSIVE int8 against teacher: speed-up of single texts 8.60x (one-sided bounds at "
        "95%: 6.50x to 9.10x); at least 7.00x asked: the machine is busy"
    )


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        ({"low": None}, "0.50 points (at 95% no more than 1.10 points)"),
        ({"high": None}, "0.50 points (at 95% no less than -0.10 points)"),
        ({"low": None, "high": None}, "0.50 points"),
        ({"value": None, "low": None, "high": None}, "none"),
        ({"confidence": 0.999}, "0.50 points (one-sided bounds at 99.9%: -0.10 to 1.10 poi"),
    ],
)
def test_bounds_that_are_missing_are_not_told(bounds: dict, told: str) -> None:
    assert words.found(verdict(**bounds)).startswith(told)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.015, "1.50 points"), (-0.000022, "0.00 points"), (-0.0058, "-0.58 points")],
)
def test_points_have_two_decimals(value: float, shown: str) -> None:
    assert words.points(value) == shown


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        ("-0.58 points", "0.58 points", "-0.58 to 0.58 points"),
        ("999 kB", "1.02 MB", "999 kB to 1.02 MB"),
        ("6.50x", "9.10x", "6.50x to 9.10x"),
        ("none", "1.10 points", "none to 1.10 points"),
    ],
)
def test_a_unit_that_two_figures_share_is_told_once(low: str, high: str, told: str) -> None:
    assert words.span(low, high) == told


def test_gates_that_differ_in_a_part_alone_have_names_of_their_own() -> None:
    late = [SPEED.model_copy(update={"measure": "percentile", "part": p}) for p in ("p95", "p99")]
    assert [words.title(found) for found in late] == [
        f"int8 against teacher: slow end of the latency ({p}), at least 7.00x"
        for p in ("p95", "p99")
    ]
    assert "slow end of the latency (p99) 8.60x" in words.told(late[1])


@pytest.mark.parametrize("high", [0.02004, 0.0200001, 0.0199999])
def test_a_bound_beside_its_limit_never_looks_like_it(high: float) -> None:
    told = words.told(verdict(high=high))
    bound = float(told.partition(" to ")[2].split()[0])
    limit = float(told.partition("at most ")[2].split()[0])
    assert (bound > limit) == (high > 0.02)
    assert bound != limit


def test_a_title_shows_the_limit_as_it_is_and_no_figure_of_this_run() -> None:
    title = "int8: size of the files, at most 18.250001 MB"
    for value in (18_250_000.0, 18_250_002.0):
        found = SIZE.model_copy(update={"limit": 18_250_001.0, "value": value})
        assert words.title(found) == title
    assert words.title(verdict(against="baseline")) == (
        "int8 against the baseline: accuracy drop, at most 2.00 points"
    )


def test_one_gate_is_one_line() -> None:
    odd = verdict("fail", of="a\nb", why="c\r\n\td", note="e\u2028f")
    assert len(words.sentence(odd).splitlines()) == 1


@pytest.mark.parametrize(
    ("outcomes", "line"),
    [
        ([], "NO GATES: nothing was asked of these models"),
        (["pass"], "PASS: 1 gate passed"),
        (["pass", "inconclusive"], "INCONCLUSIVE: 1 of 2 gates cannot be decided"),
        (["pass", "fail", "inconclusive"], "FAIL: 1 of 3 gates failed, 1 inconclusive"),
    ],
)
def test_the_headline(outcomes: list[str], line: str) -> None:
    assert words.headline(report([verdict(outcome) for outcome in outcomes])) == line
    unjudged = report(THREE).model_copy(update={"verdicts": ()})
    assert words.headline(unjudged) == "NOT JUDGED"
