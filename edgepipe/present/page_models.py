"""The page's models: one row each with all figures, and what they buy for what they cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgepipe.measure.records import ArmTimes, BenchmarkReport, ValidationReport
from edgepipe.pipeline.report import RunReport
from edgepipe.pipeline.verdict import Unit
from edgepipe.present.page_parts import (
    NOTHING,
    Cell,
    Figure,
    Table,
    apart,
    benchmarks,
    between,
    counted,
    percent,
    percent_tick,
    table,
    tick,
    validations,
)
from edgepipe.present.plots_scatter import Point, optimal, scatter
from edgepipe.present.words import figure, points

COLUMNS = (
    *("accuracy", "drop", "agreement", "ECE", "size", "p50", "p90", "p99"),
    *("speed-up", "texts/s", "floor share"),
)
_CROWD = 8
"""Models beyond which some may stay without a name in a plot."""
Rows = dict[str, dict[str, Cell]]


@dataclass(frozen=True, kw_only=True)
class ModelsView:
    """All models at a glance."""

    table: Table
    figures: tuple[Figure, ...]


def models_view(report: RunReport) -> ModelsView | None:
    """None when nothing was measured."""
    rows: Rows = defaultdict(dict)
    for validation in validations(report).values():
        _accuracy(rows, validation)
    for benchmark in benchmarks(report).values():
        _speed(rows, benchmark)
    for counts in counted(report).values():
        for counted_arm in counts.models:
            rows[counted_arm.name].setdefault("size", Cell(figure(counted_arm.bytes, "bytes")))
    if not rows:
        return None
    used = [column for column in COLUMNS if any(column in row for row in rows.values())]
    cells = ([Cell(name), *(row.get(c, Cell(NOTHING)) for c in used)] for name, row in rows.items())
    return ModelsView(table=table(("model", *used), cells), figures=tuple(_figures(report)))


def _accuracy(rows: Rows, report: ValidationReport) -> None:
    for arm in report.arms:
        rows[arm.name] |= {
            "accuracy": Cell(percent(arm.accuracy), between(arm.interval, "share")),
            "ECE": Cell(percent(arm.calibration.ece)),
            "size": Cell(figure(arm.bytes, "bytes")),
        }
    for found in report.comparisons:
        rows[found.candidate] |= {
            "drop": Cell(points(found.drop), apart(found.score)),
            "agreement": Cell(percent(found.agreement), between(found.agreement_interval, "share")),
        }


def _speed(rows: Rows, report: BenchmarkReport) -> None:
    for arm in report.arms:
        rows[arm.name] |= _clocks(arm)
        rows[arm.name].setdefault("size", Cell(figure(arm.bytes, "bytes")))
    for found in report.speedups:
        cell = Cell(figure(found.ratio, "ratio"), between(found.interval, "ratio"))
        rows[found.candidate]["speed-up"] = cell


def _clocks(arm: ArmTimes) -> dict[str, Cell]:
    found = {
        "p50": Cell(figure(arm.p50_ms, "ms")),
        "p90": _late(arm.p90_ms),
        "p99": _late(arm.p99_ms),
        "texts/s": Cell(f"{arm.texts_per_second:,.0f}"),
    }
    if arm.floor:
        found["floor share"] = Cell(f"{arm.floor.share:.0%}")
    return found


def _late(value: float | None) -> Cell:
    return Cell(NOTHING, "too few calls") if value is None else Cell(figure(value, "ms"))


def _figures(report: RunReport) -> Iterator[Figure]:
    """Accuracy against latency where a clock ran, and against size."""
    found = {
        arm.name: arm for validation in validations(report).values() for arm in validation.arms
    }
    references = {validation.reference.name for validation in validations(report).values()}
    times = {
        arm.name: arm.p50_ms for benchmark in benchmarks(report).values() for arm in benchmark.arms
    }
    sizes = {name: float(arm.bytes) for name, arm in found.items()}
    costs: tuple[tuple[str, Mapping[str, float], Unit], ...] = (
        ("median latency", times, "ms"),
        ("size", sizes, "bytes"),
    )
    for what, cost, unit in costs:
        placed = [
            Point(
                label=name, cost=cost[name], gain=arm.accuracy,
                low=arm.interval.low, high=arm.interval.high,
                kind="base" if name in references else "mark",
            )
            for name, arm in found.items() if cost.get(name, 0) > 0
        ]  # fmt: skip
        if placed:
            yield _pareto(placed, what, unit)


def _pareto(found: list[Point], what: str, unit: Unit) -> Figure:
    best = ", ".join(p.label for p in optimal(found))
    told = "; ".join(f"{p.label}: {percent(p.gain)} at {figure(p.cost, unit)}" for p in found)
    caption = f"Accuracy against {what}"
    return Figure(
        caption=caption,
        plot=scatter(
            found, caption, f"{told}. Best for their cost: {best}.", tick(unit), percent_tick
        ),
        note="Filled: no other model is more accurate for as little. Lines: 95% intervals."
        + (" Names where there is room." if len(found) > _CROWD else ""),
    )
