"""What the page's sections are made of: tables, figures in words, ticks of an axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from markupsafe import Markup

from edgepipe.measure.records import (
    BenchmarkReport,
    CountsReport,
    Interval,
    Measured,
    ValidationReport,
)
from edgepipe.pipeline.report import RunReport
from edgepipe.pipeline.verdict import Unit
from edgepipe.present.legible import shortened
from edgepipe.present.words import figure, points

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_BEHIND: dict[Unit, str] = {"ratio": "x", "ms": " ms", "nats": "", "share": ""}
_BASES: dict[Unit, str] = {"bytes": "B", "flops": "FLOP"}
T = TypeVar("T", ValidationReport, BenchmarkReport, CountsReport)
NOTHING = "\N{EN DASH}"
"""In a cell without a figure."""


@dataclass(frozen=True)
class Cell:
    """A figure, and in small letters how sure it is."""

    text: str
    small: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells; the first ``words`` columns are text, the others figures."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1
    more: str = ""
    """What it leaves out."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A plot under its caption."""

    caption: str
    plot: Markup
    note: str = ""


def table(
    columns: Iterable[str], rows: Iterable[Iterable[str | Cell]], *, words: int = 1, more: str = ""
) -> Table:
    """A table in which plain texts are cells without small letters."""
    cells = (tuple(c if isinstance(c, Cell) else Cell(c) for c in row) for row in rows)
    return Table(columns=tuple(map(shortened, columns)), rows=tuple(cells), words=words, more=more)


def validations(report: RunReport) -> Mapping[str, ValidationReport]:
    """The reports of accuracy, by step."""
    return _kind(report.measured, ValidationReport)


def benchmarks(report: RunReport) -> Mapping[str, BenchmarkReport]:
    """The reports of speed, by step."""
    return _kind(report.measured, BenchmarkReport)


def counted(report: RunReport) -> Mapping[str, CountsReport]:
    """The reports of counts, by step."""
    return _kind(report.measured, CountsReport)


def _kind(found: Mapping[str, Measured], kind: type[T]) -> dict[str, T]:
    return {name: measured for name, measured in found.items() if isinstance(measured, kind)}


def percent(value: float) -> str:
    """A share, in percent with two decimals."""
    return figure(value, "share")


def between(interval: Interval, unit: Unit) -> str:
    """An interval, its unit said once where both ends have the same."""
    return _once(figure(interval.low, unit), figure(interval.high, unit))


def apart(interval: Interval) -> str:
    """An interval of a difference of shares, in points."""
    return _once(points(interval.low), points(interval.high))


def _once(low: str, high: str) -> str:
    unit = high.lstrip("-+.,0123456789e")
    return f"{low.removesuffix(unit)} to {high}" if unit else f"{low} to {high}"


def tick(unit: Unit) -> Callable[[float], str]:
    """How the round figures of an axis are written; shares in percent, without the sign."""

    def show(value: float) -> str:
        if unit in _BASES:
            size, prefix = next(
                ((s, p) for s, p in _PREFIXES if abs(value) >= s), (1.0, "")
            )  # fmt: skip
            return f"{value / size:.4g} {prefix}{_BASES[unit]}"
        return f"{value * (100 if unit == 'share' else 1):.6g}{_BEHIND.get(unit, '')}"

    return show


def operations(count: float) -> str:
    """Operations on integers, which are no floating-point ones."""
    return figure(count, "flops").replace("FLOP", "OP")


def percent_tick(value: float) -> str:
    """A round share on an axis, with its sign."""
    return f"{100 * value:.6g}%"


def plural(number: int, what: str) -> str:
    """``1 text``, ``2,000 texts``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
