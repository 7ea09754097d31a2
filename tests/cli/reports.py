"""Reports and policies on disk, for gate and compare."""

from __future__ import annotations

from pathlib import Path

from edgepipe.pipeline.gate import AccuracyGate
from edgepipe.pipeline.report import RunReport
from tests.present.judged import everything, report

GATE = AccuracyGate(measure="accuracy", of="int8", against="teacher", max_drop=0.02)
POLICIES = {"pass": 0.05, "inconclusive": 0.03, "fail": 0.001}
"""Margins that a candidate keeps, may keep or breaks: 160 texts lost and 100 gained of 2,000."""
CODES = {"pass": 0, "inconclusive": 5, "fail": 4}


def made(lost: int = 160, gained: int = 100, created: str = "2026-11-20T08:00:00Z") -> RunReport:
    """One run with a report of each kind and an accuracy gate of its own."""
    from tests.pipeline.measured import validation

    measured = {**everything(), "accuracy": validation(lost, gained, 2000)}
    whole = report((), measured, created=created)
    return whole.model_copy(update={"gates": (GATE,)})


def write(folder: Path) -> None:
    """``new.json``, ``old.json`` and a policy for each outcome."""
    made().write(folder / "new.json")
    made(60, 50, "2026-10-01T08:00:00Z").write(folder / "old.json")
    for outcome, margin in POLICIES.items():
        (folder / f"{outcome}.toml").write_text(policy(margin))


def policy(margin: float, against: str = "teacher") -> str:
    return (
        f'[[gate]]\nmeasure = "accuracy"\nof = "int8"\nagainst = "{against}"\nmax_drop = {margin}\n'
    )
