"""What was asked of edgepipe beside its peers, and whether the figures show it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.peers.figures import (
    BY_HAND,
    OURS,
    Found,
    Row,
    best_peer,
    by_edgepipe,
    clocks,
    colder,
    fastest,
    lost,
    our_best,
    rows,
    versus,
)
from benchmarks.peers.records import Results
from benchmarks.peers.tables import SAME_FILE, TOOLS, grid, named
from edgepipe.present.escape import prose

NON_INFERIOR = 0.015
"""Of the accuracy: as much as the pipeline's own gate lets a compressed model lose."""
_NOW, _GOAL, _RUNTIME, _COLD = 2.0, 4.0, 2.0, 10.0
_OPTIMUM = "optimum"
_UNSET = "no goal was set"


class Goal(NamedTuple):
    """One sentence that was to be shown, and what the figures say of it."""

    asked: str
    found: str
    outcome: str


def goals(results: Results) -> tuple[Goal, ...]:
    """Every goal; those whose arms were not measured say so."""
    return (*_bundle(results), *_same_file(results), *_cold_start(results))


def goals_table(results: Results) -> str:
    """The goals as Markdown."""
    return grid(("goal", "found (95 % interval)", "verdict"), goals(results), "lll")


def judged(found: Found, least: float) -> str:
    """Reached only where the whole interval is: an estimate beyond the goal is not enough."""
    if found.low >= least:
        return "**reached**"
    return "not reached" if found.high < least else "not shown: the interval reaches below"


def floored(found: Found) -> str:
    """A ratio that is better the higher it is, cut and not rounded: 1.999 is no 2."""
    value, low, high = (math.floor(100 * figure) / 100 for figure in found)
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _bundle(results: Results) -> Iterator[Goal]:
    """Edgepipe's bundle and the best int8 that others make from the same teacher."""
    ours, peer = our_best(results, trained=True), best_peer(results)
    timed = clocks(results, TOOLS)
    asked = (
        "the bundle, a student of half the layers trained on the labelled texts, against the best "
        "int8 that a peer makes of the teacher, single texts: at least {:g} times as fast"
    )
    if ours is None or peer is None or timed is None:
        yield Goal(asked.format(_NOW), "not measured", "not shown")
        return
    speed = versus(timed.report, ours.arm.name, peer.arm.name)
    told = f"{_beside(ours, peer)}: {floored(speed)}"
    yield Goal(f"{asked.format(_NOW)} now", told, judged(speed, _NOW))
    yield _accuracy(ours, peer)
    yield Goal(f"{asked.format(_GOAL)} in the end", told, judged(speed, _GOAL))
    alike = our_best(results, trained=False)
    if alike is not None:
        speed = versus(timed.report, alike.arm.name, peer.arm.name)
        told = f"{_beside(alike, peer)}: {floored(speed)}"
        yield Goal("like for like: the teacher's own weights in int8, both", told, _UNSET)
        if alike.accuracy and peer.accuracy:
            told = f"{named(alike)}: {_points(lost(alike.accuracy, peer.accuracy))}"
            yield Goal(f"the same: points lost against {named(peer)}", told, _UNSET)


def _accuracy(ours: Row, peer: Row) -> Goal:
    asked = f"at non-inferior accuracy: at most {100 * NON_INFERIOR:g} points lost"
    if ours.accuracy is None or peer.accuracy is None:
        return Goal(asked, "not measured", "not shown")
    beside = lost(ours.accuracy, peer.accuracy)
    torch = ours.accuracy
    against_torch = Found(torch.drop, torch.drop_interval.low, torch.drop_interval.high)
    worst = max(beside.high, against_torch.high)
    least = max(beside.low, against_torch.low)
    outcome = "not shown: the interval reaches beyond"
    if worst <= NON_INFERIOR:
        outcome = "**reached**"
    elif least > NON_INFERIOR:
        outcome = "not reached"
    told = f"{_points(beside)} against {named(peer)}, {_points(against_torch)} against torch"
    return Goal(asked, f"{named(ours)}: {told}", outcome)


def _points(found: Found) -> str:
    """Accuracy lost, rounded up: never to less than it is."""
    value, low, high = (math.ceil(10_000 * figure) / 100 for figure in found)
    return f"{value:+.2f} ({low:+.2f} to {high:+.2f})"


def _same_file(results: Results) -> Iterator[Goal]:
    """Runtimes on one file, texts in batches: the best other tool, and what a user writes."""
    for name in SAME_FILE:
        timed = clocks(results, name)
        title = next((prose(t.title) for t in results.tables if t.name == name), name)
        asked = f"{title}: throughput of the runtime against the best of the others"
        ours, peer = fastest(results, name, by_edgepipe), fastest(results, name, _is_tool)
        if timed is None or ours is None or peer is None:
            yield Goal(f"{asked}, at least {_RUNTIME:g} times", "not measured", "not shown")
            continue
        found = versus(timed.report, ours.arm.name, peer.arm.name, "throughputs")
        told = f"{_beside(ours, peer)}: {floored(found)}"
        yield Goal(f"{asked}, at least {_RUNTIME:g} times", told, judged(found, _RUNTIME))
        by_hand = fastest(results, name, lambda row: row.arm.tool == BY_HAND)
        if by_hand is not None:
            found = versus(timed.report, ours.arm.name, by_hand.arm.name, "throughputs")
            told = f"{_beside(ours, by_hand)}: {floored(found)}"
            yield Goal(f"{title}: the same against a session by hand", told, _UNSET)


def _is_tool(row: Row) -> bool:
    return row.arm.tool not in (OURS, BY_HAND)


def _cold_start(results: Results) -> Iterator[Goal]:
    """From the start of the process to its first answer, beside optimum on the same file."""
    name = SAME_FILE[0]
    timed = clocks(results, name)
    asked = f"cold start on the same file: at most 1/{_COLD:g} of optimum's"
    ours = _soonest(results, name, OURS)
    peer = _soonest(results, name, _OPTIMUM)
    if timed is None or ours is None or peer is None or not (ours.cold and peer.cold):
        yield Goal(asked, "not measured", "not shown")
        return
    found = colder(ours.cold, peer.cold)
    mine, theirs = math.ceil(100 * ours.cold.total_s), math.floor(100 * peer.cold.total_s)
    seconds = f"{mine / 100:.2f} s against {theirs / 100:.2f} s"
    told = f"{_beside(ours, peer)}: {seconds}, 1/{floored(found)}"
    yield Goal(asked, told, judged(found, _COLD))


def _soonest(results: Results, name: str, tool: str) -> Row | None:
    found = [row for row in rows(results, name) if row.cold is not None and row.arm.tool == tool]
    return min(found, key=lambda row: row.cold_s or 0.0, default=None)


def _beside(one: Row, other: Row) -> str:
    return f"{named(one)} beside {named(other)}"
