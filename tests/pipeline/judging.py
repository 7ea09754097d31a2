"""One gate, judged on reports made by hand."""

from __future__ import annotations

from edgepipe.measure.machine import Machine
from edgepipe.measure.records import Measured
from edgepipe.pipeline.baseline import NONE, Baselines
from edgepipe.pipeline.gate import Gate
from edgepipe.pipeline.judge import judge
from edgepipe.pipeline.report import RunReport
from edgepipe.pipeline.verdict import Verdict
from tests.pipeline.measured import MACHINE

ON = {"of": "int8", "against": "teacher"}
SINCE = {"of": "int8", "against": "baseline"}


def one(gate: Gate, *reports: Measured, baselines: Baselines = NONE) -> Verdict:
    (verdict,) = judge([gate], steps(*reports), baselines)
    return verdict


def steps(*reports: Measured) -> dict[str, Measured]:
    return {f"step{number}": report for number, report in enumerate(reports)}


def whole(
    *reports: Measured,
    name: str = "reviews",
    created: str = "2026-01-01T00:00:00Z",
    machine: Machine = MACHINE,
) -> RunReport:
    """A run that measured this."""
    return RunReport(
        name=name, task="text-classification", created=created, edgepipe="0.1.0", tools={},
        machine=machine, pipeline="", steps=(), measured=steps(*reports), gates=(),
    )  # fmt: skip


def since(*reports: Measured) -> Baselines:
    """That run as the baseline, for every measure."""
    run = whole(*reports)
    return Baselines(newest=run, here=run)
