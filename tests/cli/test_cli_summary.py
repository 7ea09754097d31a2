from __future__ import annotations

from pathlib import Path

import pytest

from edgepipe.cli.summary import print_models, print_summary, print_verdicts
from edgepipe.measure.records import ArmTimes
from tests.pipeline.measured import counts, validation
from tests.present.judged import SIZE, THREE, everything, report


def rows(text: str) -> dict[str, list[str]]:
    """Cells by the first one."""
    lines = [line.split("  ") for line in text.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return {line[0]: line[1:] for line in cells if line}


def test_every_kind_of_report_has_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_models(report((), everything()))
    found = rows(capsys.readouterr().out)
    assert found["model"] == [
        "accuracy", "drop", "agreement", "size", "operations", "memory", "latency", "speed-up",
    ]  # fmt: skip
    assert found["int8"] == [
        "97.0% (40.0% to 60.0%)", "0.50 points (40.00 to 60.00)", "94.5%", "100 bytes",
        "2.00 GFLOP", "100 MB", "1.00 ms", "8.00x (0.40 to 0.60)",
    ]  # fmt: skip
    assert found["teacher"] == ["97.5% (40.0% to 60.0%)", "100 bytes", "1.00 ms"]
    assert found["fp32"] == ["400 bytes", "2.00 GFLOP", "400 MB"]


@pytest.mark.parametrize(
    ("measured", "columns"),
    [
        ({"c": counts()}, ["size", "operations", "memory"]),
        ({"v": validation()}, ["accuracy", "drop", "agreement", "size"]),
    ],
    ids=["counts", "validation"],
)
def test_columns_that_nobody_measured_are_left_out(
    measured: dict, columns: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    print_models(report((), measured))
    assert rows(capsys.readouterr().out)["model"] == columns
    print_models(report())
    assert capsys.readouterr().out == ""


def test_percentiles_of_too_few_calls_break_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    measured = everything()
    few: ArmTimes = measured["speed"].candidates[0].model_copy(update={"p90_ms": None})
    measured["speed"] = measured["speed"].model_copy(update={"candidates": (few,)})
    print_models(report((), measured))
    assert "1.00 ms" in capsys.readouterr().out


def test_parts_are_shown_of_gates_that_did_not_pass(capsys: pytest.CaptureFixture[str]) -> None:
    passed = SIZE.model_copy(update={"outcome": "pass", "details": ("not shown",)})
    print_verdicts(report((passed, SIZE)))
    assert capsys.readouterr().out.splitlines() == [
        "PASS         int8: size of the files 18.2 MB; at most 18.0 MB asked: grew",
        "FAIL         int8: size of the files 18.2 MB; at most 18.0 MB asked: grew",
        "             - model.onnx 17.9 MB",
        "             - vocab.txt 300 kB",
        "verdict: fail",
    ]


def test_a_summary_ends_with_the_places(capsys: pytest.CaptureFixture[str]) -> None:
    measured = everything()
    measured["speed"] = measured["speed"].model_copy(update={"remarks": ("odd \x1b[1m",)})
    print_summary(report(THREE, measured), Path("a/report.json"), [Path("a/bundle")])
    lines = capsys.readouterr().out.splitlines()
    assert "note: odd \\x1b[1m" in lines
    assert lines[-4:] == [
        "verdict: fail",
        "bundle:  a/bundle",
        "report:  a/report.json",
        "page:    a/report.html",
    ]
