"""Where peers are ahead of edgepipe: column by column, from the figures alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from benchmarks.peers.figures import (
    OURS,
    Row,
    What,
    by_edgepipe,
    clocks,
    fastest,
    lost,
    our_best,
    rows,
    versus,
)
from benchmarks.peers.records import Clocks, Results
from benchmarks.peers.tables import SAME_FILE, TOOLS, named, number
from edgepipe.present.escape import prose

_MOST = 5
"""Peers told by name in one column."""


class Column(NamedTuple):
    """One figure of a row, and how two rows' figures compare."""

    name: str
    unit: str
    value: Callable[[Row], float | None]
    higher: bool = False
    """Whether more is better."""
    what: What | None = None
    """Of the report, where the two can be compared with an interval."""


def _single(row: Row) -> float | None:
    return None if row.times is None else row.ratio


def _percent(row: Row) -> float | None:
    return None if row.accuracy is None else 100 * row.accuracy.accuracy


_SPEEDS = (
    Column("single texts", " times the reference", _single, True, "speedups"),
    Column("many texts", " times the reference", lambda row: row.many_ratio, True, "throughputs"),
)
_LOADED = (
    Column("cold start", " s", lambda row: row.cold_s),
    Column("peak memory", " MB", lambda row: row.peak_mb),
    Column("installed size", " MB", lambda row: row.installed_mb),
)
_RUNTIMES = (*_SPEEDS, *_LOADED)
_MAIN = (
    *_SPEEDS,
    Column("accuracy", " %", _percent, True),
    Column("answers that differ from torch's", "", lambda row: row.flips),
    *_LOADED,
    Column("files that ship", " MB", lambda row: row.files_mb),
    Column("time to make", " s", lambda row: row.made_s),
    Column("lines to make", "", lambda row: row.lines_to_make),
    Column("lines to answer", "", lambda row: row.lines_to_answer),
)


def ahead(results: Results) -> str:
    """Every column in which a peer is ahead, as Markdown: who, by which figures, how surely."""
    lines = [*_columns(results, TOOLS, _MAIN, _made_elsewhere)]
    for name in SAME_FILE:
        lines += _columns(results, name, _RUNTIMES, _answered_elsewhere)
    return "".join(f"* {line}\n" for line in lines) or "In no column is a peer ahead.\n"


def _made_elsewhere(row: Row) -> bool:
    return row.recipe.tool != OURS


def _answered_elsewhere(row: Row) -> bool:
    return not by_edgepipe(row)


def _best(results: Results) -> Row | None:
    """The teacher's own weights in int8, as the peers have them; a student where there is none."""
    return our_best(results, trained=False) or our_best(results, trained=True)


def _columns(
    results: Results, name: str, columns: Sequence[Column], is_peer: Callable[[Row], bool]
) -> Iterator[str]:
    timed = clocks(results, name)
    ours = _best(results) if name == TOOLS else fastest(results, name, by_edgepipe)
    if timed is None or ours is None:
        return
    title = next(prose(found.title) for found in results.tables if found.name == name)
    alike = ours.recipe.precision
    peers = [r for r in rows(results, name) if is_peer(r) and r.recipe.precision == alike]
    for column in columns:
        mine = column.value(ours)
        better = [row for row in peers if _ahead(column, column.value(row), mine)]
        if mine is None or not better:
            continue
        better.sort(key=lambda row: column.value(row) or 0.0, reverse=column.higher)
        told = ", ".join(
            f"{named(row)} {_figure(column, row, ours, timed)}" for row in better[:_MOST]
        )
        told += f", and {len(better) - _MOST} more" if len(better) > _MOST else ""
        yield f"{title}, **{column.name}**, {named(ours)} {number(mine)}{column.unit}: {told}"


def _ahead(column: Column, theirs: float | None, mine: float | None) -> bool:
    if theirs is None or mine is None:
        return False
    return theirs > mine if column.higher else theirs < mine


def _figure(column: Column, row: Row, ours: Row, timed: Clocks) -> str:
    told = f"{number(column.value(row) or 0.0)}{column.unit}"
    if column.what is not None:
        found = versus(timed.report, row.arm.name, ours.arm.name, column.what)
        sure = "" if found.low > 1 else "; may be noise"
        return f"{told} ({found.value:.2f} times, {found.low:.2f} to {found.high:.2f}{sure})"
    if column.name == "accuracy" and row.accuracy and ours.accuracy:
        gap = lost(ours.accuracy, row.accuracy)
        sure = "" if gap.low > 0 else "; may be chance"
        value, low, high = (f"{100 * figure:+.2f}" for figure in gap)
        return f"{told} ({value} points, {low} to {high}{sure})"
    return told
