"""The page's accuracy: each candidate beside the reference on the same texts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from edgepipe.measure.records import ArmAccuracy, Comparison, ValidationReport
from edgepipe.pipeline.report import RunReport
from edgepipe.present.page_answers import (
    MATRIX,
    answer_figures,
    class_table,
    confused_pairs,
    slice_figure,
)
from edgepipe.present.page_explain import ExplainView, FlipView, explain_view, flip_views
from edgepipe.present.page_parts import Figure, Table, apart, between, percent, plural, validations
from edgepipe.present.words import figure, points

_OPEN = 3
"""Candidates that are shown unfolded at most: those that gates ask about, else the first."""


@dataclass(frozen=True, kw_only=True)
class CandidateView:
    """One candidate beside the reference."""

    name: str
    summary: str
    unfolded: bool
    facts: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]
    pairs: Table | None
    classes: Table | None
    slices: tuple[Figure, ...]
    flips: tuple[FlipView, ...]
    flipped: int
    explained: ExplainView | None


@dataclass(frozen=True, kw_only=True)
class AccuracyView:
    """One validate step."""

    step: str
    about: str
    reference: str
    candidates: tuple[CandidateView, ...]
    figures: tuple[Figure, ...]
    """Of the reference alone, where there are no candidates."""


def accuracy_views(report: RunReport) -> list[AccuracyView]:
    """One for each validate step."""
    asked = {gate.of for gate in report.gates}
    return [_view(step, found, asked) for step, found in validations(report).items()]


def _view(step: str, report: ValidationReport, asked: Collection[str]) -> AccuracyView:
    pairs = zip(report.candidates, report.comparisons, strict=True)
    names = [arm.name for arm in report.candidates]
    unfolded = [name for name in names if name in asked][:_OPEN] or names[:1]
    alone = () if report.candidates else answer_figures(report.labels, [report.reference])
    return AccuracyView(
        step=step,
        about=_about(report),
        reference=report.reference.name,
        candidates=tuple(
            _candidate(report, arm, found, unfolded=arm.name in unfolded) for arm, found in pairs
        ),
        figures=tuple(alone),
    )


def _about(report: ValidationReport) -> str:
    unlabelled = f" and {report.unlabelled:,} without labels" if report.unlabelled else ""
    cut = report.reference.truncated
    longer = f"; {plural(cut, 'text')} longer than the reference reads" if cut else ""
    return (
        f"{plural(report.examples, 'text')} of the {report.split} split{unlabelled}, "
        f"{plural(len(report.labels), 'label')}{longer}. The reference is {report.reference.name}."
    )


def _candidate(
    report: ValidationReport, arm: ArmAccuracy, found: Comparison, *, unfolded: bool
) -> CandidateView:
    arms = [report.reference, arm]
    return CandidateView(
        name=arm.name,
        summary=f"{percent(arm.accuracy)}, drop {points(found.drop)}",
        unfolded=unfolded,
        facts=tuple(_facts(arm, found)),
        figures=tuple(answer_figures(report.labels, arms)),
        pairs=confused_pairs(report.labels, arms) if len(report.labels) > MATRIX else None,
        classes=class_table(report.reference, arm),
        slices=tuple(slice_figure(by, parts) for by, parts in found.slices.items() if parts),
        flips=flip_views(found),
        flipped=found.flipped,
        explained=explain_view(found.explanation) if found.explanation else None,
    )


def _facts(arm: ArmAccuracy, found: Comparison) -> Iterator[tuple[str, str]]:
    yield "accuracy", f"{percent(arm.accuracy)} ({between(arm.interval, 'share')})"
    yield "accuracy drop", f"{points(found.drop)} ({apart(found.score)})"
    only = f"{found.reference_only:,} the reference, {found.candidate_only:,} the candidate"
    yield "only one is right", f"{only}; McNemar's exact p {figure(found.mcnemar_p, 'correlation')}"
    yield "detectable drop", f"{points(found.detectable)}, 9 times in 10 at 95%"
    bounds = found.macro_f1_drop.bounds(0.975)
    yield "macro F1 drop", f"{points(found.macro_f1_drop.value)} ({apart(bounds)})"
    yield (
        "same answers",
        f"{percent(found.agreement)} ({between(found.agreement_interval, 'share')})",
    )
    if found.unlabelled:
        alike = found.unlabelled
        share = f"{percent(alike.agreement)} ({between(alike.interval, 'share')})"
        yield "same answers without labels", f"{share} of {alike.examples:,}"
    bounds = found.divergence.bounds(0.975)
    yield (
        "Kullback-Leibler divergence",
        f"{figure(found.divergence.value, 'nats')} ({between(bounds, 'nats')})",
    )
    bounds = found.calibration_increase.bounds(0.975)
    yield (
        "calibration error gained",
        f"{points(found.calibration_increase.value)} ({apart(bounds)})",
    )
    yield "largest difference of a logit", figure(found.max_logit_difference, "logits")
