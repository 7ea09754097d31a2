"""Two models' answers to the same texts, of one run or of two."""

from __future__ import annotations

from typing import NamedTuple

from edgepipe.measure.records import Ints, ValidationReport
from edgepipe.pipeline.gate import BASELINE, Gate
from edgepipe.pipeline.judge.scene import Scene, against_of, require_same

NO_TEXTS = "there is no text to judge it on"


class Pair(NamedTuple):
    """Answers of two models to the same texts, int64 [texts] each."""

    report: ValidationReport
    truth: Ints
    old: Ints
    new: Ints


def pair_of(gate: Gate, scene: Scene) -> Pair:
    """The candidate beside the reference, or beside itself in the baseline on the same texts."""
    now = scene.report(gate, ValidationReport)
    report = now.report
    old = report.reference.name
    rival = report
    if against_of(gate) == BASELINE:
        rival = scene.earlier(gate, now, same_machine=False)
        _require_same_texts(gate, report, rival)
        old = gate.of
    return Pair(report, report.labels_of_texts(), rival.answers_of(old), report.answers_of(gate.of))


def _require_same_texts(gate: Gate, new: ValidationReport, old: ValidationReport) -> None:
    require_same(
        gate,
        {
            "test set, by its SHA-256": (new.split_sha256[:12], old.split_sha256[:12]),
            "number of texts": (new.examples, old.examples),
            "list of labels": (", ".join(new.labels), ", ".join(old.labels)),
        },
    )
