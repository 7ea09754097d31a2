"""Validation reports of made-up answers, for gates whose truth is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepipe.measure.paired import counts, macro_f1_drop
from edgepipe.measure.records import (
    PROBABILITIES,
    ArmAccuracy,
    Calibration,
    Comparison,
    Estimate,
    Interval,
    SliceBy,
    ValidationReport,
    packed,
)

Ints = npt.NDArray[np.int64]
LABELS = ("no", "yes")
RESAMPLES = 999
_ANY = Interval(low=0.0, high=1.0)
_NONE = Estimate(value=0.0, quantiles=(0.0,) * len(PROBABILITIES))


def of_counts(b: int, c: int, total: int) -> ValidationReport:
    """``b`` texts that only the reference gets right, ``c`` that only the candidate does."""
    truth = np.zeros(total, np.int64)
    old, new = truth.copy(), truth.copy()
    new[:b], old[b : b + c] = 1, 1
    return report(truth, old, new)


def report(
    truth: Ints, old: Ints, new: Ints, parts: Ints | None = None, *, f1: bool = False
) -> ValidationReport:
    """Two models' answers as the validate step leaves them, with what gates on answers read."""
    found = counts(truth, old, new)
    drop = macro_f1_drop(truth, old, new, len(LABELS), resamples=RESAMPLES, seed=0) if f1 else _NONE
    comparison = Comparison(
        candidate="new",
        examples=found.examples,
        reference_only=found.reference_only,
        candidate_only=found.candidate_only,
        drop=found.drop,
        score=_ANY,
        mcnemar_p=1.0,
        detectable=1.0,
        macro_f1_drop=drop,
        agreement=found.alike / found.examples,
        agreement_interval=_ANY,
        divergence=_NONE,
        calibration_increase=_NONE,
        max_logit_difference=0.0,
        flipped=found.examples - found.alike,
        flips=(),
    )
    return ValidationReport(
        data="made up",
        split="test",
        split_sha256="made up",
        labels=LABELS,
        examples=len(truth),
        truth=packed(truth),
        seed=0,
        resamples=RESAMPLES,
        reference=_arm("old", truth, old),
        candidates=(_arm("new", truth, new),),
        comparisons=(comparison,),
        slices=() if parts is None else (_cut(parts),),
    )


def _cut(parts: Ints) -> SliceBy:
    names = tuple(f"part {number}" for number in range(int(parts.max()) + 1))
    return SliceBy(by="part", names=names, parts=packed(parts))


def _arm(name: str, truth: Ints, answers: Ints) -> ArmAccuracy:
    correct = int((truth == answers).sum())
    return ArmAccuracy(
        name=name,
        digest="made up",
        precision="fp32",
        device="cpu",
        correct=correct,
        accuracy=correct / len(truth),
        interval=_ANY,
        macro_f1=0.0,
        classes=(),
        confusion=(),
        calibration=Calibration(ece=0.0, bins=()),
        truncated=0,
        files={},
        bytes=0,
        answers=packed(answers),
    )
