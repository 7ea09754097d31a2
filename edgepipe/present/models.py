"""The models of a report beside each other: accuracy, size, work and speed, one line a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from edgepipe.measure.records import BenchmarkReport, CountsReport, Interval, ValidationReport
from edgepipe.pipeline.report import RunReport
from edgepipe.present import words

Figures = dict[str, Any]
"""Some fields of ``ModelFigures``."""


@dataclass(frozen=True, kw_only=True)
class ModelFigures:
    """What a report says of one model; None where no step measured it.

    Bounds are two-sided at 95 %.
    """

    name: str
    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    drop: float | None = None
    """Of the accuracy, against the reference of its step."""
    drop_low: float | None = None
    drop_high: float | None = None
    agreement: float | None = None
    """With the reference: the share of texts answered alike."""
    bytes: int | None = None
    """Of the files that ship."""
    flops: float | None = None
    peak_memory_bytes: int | None = None
    p50_ms: float | None = None
    texts_per_second: float | None = None
    speedup: float | None = None
    """Over the reference, for single texts."""
    speedup_low: float | None = None
    speedup_high: float | None = None


def models(report: RunReport) -> tuple[ModelFigures, ...]:
    """Every model of the report with all that its steps measured, in the order of the steps."""
    found: dict[str, Figures] = {}
    for name, figures in _measured(report):
        found.setdefault(name, {}).update(figures)
    return tuple(ModelFigures(name=name, **figures) for name, figures in found.items())


def table(report: RunReport) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows in words, columns that no model has a figure for left out."""
    every = models(report)
    cells = {column: [text(model) for model in every] for column, text in _COLUMNS.items()}
    kept = {column: texts for column, texts in cells.items() if any(texts)}
    rows = zip((model.name for model in every), *kept.values(), strict=True)
    return ("model", *kept), list(rows) if kept else []


def _measured(report: RunReport) -> Iterator[tuple[str, Figures]]:
    for measured in report.measured.values():
        match measured:
            case ValidationReport():
                yield from _validation(measured)
            case BenchmarkReport():
                yield from _benchmark(measured)
            case CountsReport():
                for arm in measured.models:
                    flops, memory = arm.flops, arm.peak_memory_bytes
                    counted = {"bytes": arm.bytes, "flops": flops, "peak_memory_bytes": memory}
                    yield arm.name, counted


def _validation(report: ValidationReport) -> Iterator[tuple[str, Figures]]:
    for arm in report.arms:
        bounds = _bounds("accuracy", arm.accuracy, arm.interval)
        yield arm.name, {**bounds, "bytes": arm.bytes}
    for found in report.comparisons:
        bounds = _bounds("drop", found.drop, found.score)
        yield found.candidate, {**bounds, "agreement": found.agreement}


def _benchmark(report: BenchmarkReport) -> Iterator[tuple[str, Figures]]:
    for arm in report.arms:
        speed = {"p50_ms": arm.p50_ms, "texts_per_second": arm.texts_per_second}
        yield arm.name, speed
    for found in report.speedups:
        yield found.candidate, _bounds("speedup", found.ratio, found.interval)


def _bounds(name: str, value: float, interval: Interval) -> Figures:
    return {name: value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _accuracy(model: ModelFigures) -> str:
    if model.accuracy is None:
        return ""
    return f"{model.accuracy:.1%} ({model.accuracy_low:.1%} to {model.accuracy_high:.1%})"


def _drop(model: ModelFigures) -> str:
    if model.drop is None:
        return ""
    between = words.span(words.points(model.drop_low), words.points(model.drop_high))
    return f"{words.points(model.drop)} ({between.removesuffix(' points')})"


def _speedup(model: ModelFigures) -> str:
    if model.speedup is None:
        return ""
    interval = f"{model.speedup_low:.2f} to {model.speedup_high:.2f}"
    return f"{words.figure(model.speedup, 'ratio')} ({interval})"


_COLUMNS: dict[str, Callable[[ModelFigures], str]] = {
    "accuracy": _accuracy,
    "drop": _drop,
    "agreement": lambda m: "" if m.agreement is None else f"{m.agreement:.1%}",
    "size": lambda m: "" if m.bytes is None else words.figure(m.bytes, "bytes"),
    "operations": lambda m: "" if m.flops is None else words.figure(m.flops, "flops"),
    "memory": lambda m: (
        "" if m.peak_memory_bytes is None else words.figure(m.peak_memory_bytes, "bytes")
    ),
    "latency": lambda m: "" if m.p50_ms is None else words.figure(m.p50_ms, "ms"),
    "speed-up": _speedup,
}
