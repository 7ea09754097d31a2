"""What the page shows of one candidate's answers: confusions, calibration, classes, slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgepipe.measure.records import ArmAccuracy, SliceFigures
from edgepipe.present.legible import clipped
from edgepipe.present.page_parts import (
    NOTHING,
    Cell,
    Figure,
    Table,
    apart,
    percent,
    plural,
    table,
    tick,
)
from edgepipe.present.plots_answers import matrix, reliability
from edgepipe.present.plots_rows import Row, intervals
from edgepipe.present.words import points

MATRIX = 12
"""Labels up to which a whole confusion matrix is drawn."""
_PAIRS, _PARTS, _CLASSES = 15, 24, 24


def answer_figures(labels: Sequence[str], arms: Sequence[ArmAccuracy]) -> Iterator[Figure]:
    """A confusion matrix, while it is readable, and a reliability diagram of each model."""
    if 0 < len(labels) <= MATRIX:
        yield from (_matrix(labels, arm) for arm in arms)
    yield from (_reliability(arm) for arm in arms if arm.calibration.bins)


def _matrix(labels: Sequence[str], arm: ArmAccuracy) -> Figure:
    told = "; ".join(
        f"{label}: " + ", ".join(f"{n:,} as {to}" for to, n in zip(labels, row, strict=False) if n)
        for label, row in zip(labels, arm.confusion, strict=False)
    )
    return Figure(
        caption=f"Confusions: {arm.name}",
        plot=matrix(labels, arm.confusion, f"Confusion matrix of {arm.name}", told),
        note="Labels down, answers across; tinted by the share of a label's texts.",
    )


def _reliability(arm: ArmAccuracy) -> Figure:
    told = "; ".join(
        f"{plural(found.count, 'text')} at {percent(found.confidence)} confidence: "
        f"{percent(found.accuracy)} right"
        for found in arm.calibration.bins
        if found.count
    )
    return Figure(
        caption=f"Calibration: {arm.name}",
        plot=reliability(arm.calibration.bins, f"Reliability diagram of {arm.name}", told),
        note=f"Accuracy over confidence; ECE {percent(arm.calibration.ece)}. "
        "Below: texts by confidence.",
    )


def confused_pairs(labels: Sequence[str], arms: Sequence[ArmAccuracy]) -> Table | None:
    """The pairs most confused by either of two models; None where nothing is confused."""
    reference, candidate = arms
    found = [
        (max(old, new), row, column, old, new)
        for row, (olds, news) in enumerate(
            zip(reference.confusion, candidate.confusion, strict=False)
        )
        for column, (old, new) in enumerate(zip(olds, news, strict=False))
        if row != column and (old or new)
    ]
    if not found:
        return None
    found.sort(key=lambda pair: (-pair[0], pair[1:]))
    rows = (
        (
            clipped(labels[row], 80),
            clipped(labels[column], 80),
            f"{old:,}",
            f"{new:,}",
            f"{new - old:+,}",
        )
        for _, row, column, old, new in found[:_PAIRS]
    )
    more = f"{len(found) - _PAIRS:,} more pairs" if len(found) > _PAIRS else ""
    columns = ("label", "answered", reference.name, candidate.name, "change")
    return table(columns, rows, words=2, more=more)


def class_table(reference: ArmAccuracy, candidate: ArmAccuracy) -> Table | None:
    """Precision, recall and F1 of each class, those that lost most first."""
    before = {found.label: found for found in reference.classes}
    lost = sorted(
        candidate.classes,
        key=lambda found: found.f1 - (before[found.label].f1 if found.label in before else 0.0),
    )
    if not lost:
        return None
    rows = []
    for found in lost[:_CLASSES]:
        then = before.get(found.label)
        rows.append(
            (
                clipped(found.label, 80),
                f"{found.support:,}",
                percent(found.precision),
                percent(found.recall),
                percent(found.f1),
                percent(then.f1) if then else NOTHING,
                _signed(found.f1 - then.f1) if then else NOTHING,
            )
        )
    more = f"{len(lost) - _CLASSES:,} more classes" if len(lost) > _CLASSES else ""
    columns = ("class", "texts", "precision", "recall", "F1", f"F1 of {reference.name}", "change")
    return table(columns, rows, more=more)


def _signed(value: float) -> Cell:
    return Cell(f"{'+' if value > 0 else ''}{points(value)}")


def slice_figure(by: str, parts: Sequence[SliceFigures]) -> Figure:
    """Drops of the parts with their intervals: all in their order, or those that lost most."""
    shown = list(parts)
    if len(shown) > _PARTS:
        shown = sorted(shown, key=lambda part: -part.drop)[:_PARTS]
    rows = [
        Row(
            label=part.name, value=part.drop, low=part.score.low, high=part.score.high,
            text=f"{points(part.drop)} · {part.examples:,}",
        )
        for part in shown
    ]  # fmt: skip
    caption = f"Drop by {by}"
    told = "; ".join(
        f"{part.name} ({plural(part.examples, 'text')}): {points(part.drop)}, {apart(part.score)}"
        for part in shown
    )
    more = f" The {_PARTS} that lost most of {len(parts):,}." if len(parts) > _PARTS else ""
    return Figure(
        caption=caption,
        plot=intervals(rows, caption, told, tick("share"), at=0.0),
        note="Accuracy lost in points, and texts; with 95% intervals; right of the line is worse."
        + more,
    )
