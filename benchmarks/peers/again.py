"""Two runs of the comparison side by side: do their ratios agree within what they state?

    python -m benchmarks.peers.again ONE.json TWO.json --out benchmarks/results/peers-again.md

Refuses, with exit code 2, what cannot be held against each other: figures of two machines, other
versions, another line-up, other texts, a quick run and a full one.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.peers.records import Clocks, Results, read
from benchmarks.peers.tables import grid, provenance, ratio
from edgepipe import disk
from edgepipe.errors import EdgepipeError, UsageError
from edgepipe.measure.records import BenchmarkReport, Speedup
from edgepipe.measure.statistics import TWO_SIDED, ratio_of_ratios_bounds
from edgepipe.present.escape import code, prose

_CHANCE = 0.05
"""How often two true intervals at 95 % leave each other no room."""


class Pair(NamedTuple):
    """One ratio in both runs."""

    one: Speedup
    two: Speedup

    @property
    def agrees(self) -> bool:
        """Whether the second may be the first, within the errors of both at 95 %."""
        bounds = ratio_of_ratios_bounds(
            self.two.log_ratios, self.one.log_ratios, confidence=TWO_SIDED
        )
        return bounds.low <= 1 <= bounds.high

    @property
    def apart(self) -> float:
        """How many times the larger of the two is the smaller."""
        return math.exp(abs(math.log(self.two.ratio / self.one.ratio)))


class Both(NamedTuple):
    """A row in both runs."""

    table: str
    arm: str
    single: Pair
    many: Pair | None


def refuse(one: Results, two: Results) -> None:
    """UsageError unless figures of the two may stand beside each other, with all that differs."""
    differ = list(_differences(one, two))
    if differ:
        raise UsageError("the two runs cannot be held against each other: " + "; ".join(differ))


def _differences(one: Results, two: Results) -> Iterator[str]:
    if one.machine.machine_id != two.machine.machine_id:
        ids = f"{one.machine.machine_id} and {two.machine.machine_id}"
        yield f"they are figures of two machines, {ids}"
    if one.quick != two.quick:
        yield "one is a quick run and the other a full one"
    for what, first, second in (
        ("edgepipe", one.edgepipe, two.edgepipe),
        ("Python", one.machine.python, two.machine.python),
        ("the teacher", one.teacher, two.teacher),
    ):
        if first != second:
            yield f"{what} is {first} in one and {second} in the other"
    yield from _asked(one, two)
    yield from _versions("the project's environment", one.machine.packages, two.machine.packages)
    held = {found.name: found.packages for found in two.environments if not found.failed}
    for found in one.environments:
        if found.name in held and not found.failed:
            yield from _versions(found.name, found.packages, held[found.name])
    timed = {found.table: found.report for found in two.clocks}
    for clocks in one.clocks:
        if clocks.table in timed:
            yield from _conditions(clocks, timed[clocks.table])


def _asked(one: Results, two: Results) -> Iterator[str]:
    """What the two asked of whom; tables that one of them left out do not matter."""
    lined_up = {table.name: table for table in two.tables}
    if one.recipes != two.recipes or any(
        table != lined_up[table.name] for table in one.tables if table.name in lined_up
    ):
        yield "their line-ups differ"
    for name in sorted(one.texts.keys() & two.texts.keys()):
        if one.texts[name] != two.texts[name]:
            yield f"the texts of {name} differ"
    timed = {found.table: found.report for found in two.clocks}
    for found in one.clocks:
        if found.table in timed and _one_run(found.report, timed[found.table]):
            yield f"they hold the same ratios of {found.table}: they are one run, not two"


def _one_run(one: BenchmarkReport, two: BenchmarkReport) -> bool:
    """Whether some row has the very same ratios: two runs never agree to the last digit."""
    for mine, theirs in ((one.speedups, two.speedups), (one.throughputs, two.throughputs)):
        other = {found.candidate: found.log_ratios for found in theirs}
        if any(found.log_ratios == other.get(found.candidate) for found in mine):
            return True
    return False


def _versions(name: str, one: dict[str, str], two: dict[str, str]) -> Iterator[str]:
    for package in sorted({*one, *two}):
        first, second = one.get(package, "absent"), two.get(package, "absent")
        if first != second:
            yield f"{package} of {name} is {first} in one and {second} in the other"


def _conditions(one: Clocks, two: BenchmarkReport) -> Iterator[str]:
    for what in ("threads", "clock", "device", "batch", "texts_sha256"):
        first, second = getattr(one.report, what), getattr(two, what)
        if first != second:
            yield f"{what} of {one.table} is {first} in one and {second} in the other"


def pairs(one: Results, two: Results) -> tuple[Both, ...]:
    """Every row that has ratios in both runs, in the order of the first."""
    found = []
    for clocks in one.clocks:
        other = next((rival for rival in two.clocks if rival.table == clocks.table), None)
        if other is None:
            continue
        singles = {speedup.candidate: speedup for speedup in other.report.speedups}
        many = {speedup.candidate: speedup for speedup in other.report.throughputs}
        batches = {speedup.candidate: speedup for speedup in clocks.report.throughputs}
        for speedup in clocks.report.speedups:
            name = speedup.candidate
            if name in singles:
                both = name in many and name in batches
                offline = Pair(batches[name], many[name]) if both else None
                found.append(Both(clocks.table, name, Pair(speedup, singles[name]), offline))
    return tuple(found)


def again(one: Results, two: Results) -> str:
    """The two runs as Markdown: every ratio in both, and how many agree."""
    refuse(one, two)
    found = pairs(one, two)
    if not found:
        raise UsageError("the two runs have no row in common")
    every = [pair for both in found for pair in (both.single, both.many) if pair is not None]
    agree = sum(pair.agrees for pair in every)
    worst = max(pair.apart for pair in every) - 1
    head = ("table", "row", "single, one", "two", "agree", "many, one", "two", "agree")
    parts = [
        "## The same comparison twice\n",
        f"One: {provenance(one)}",
        f"Two: {provenance(two)}",
        (
            f"{agree} of {len(every)} ratios agree within what both runs' 95 % intervals allow; "
            f"chance alone would part {_CHANCE * len(every):.1f}. Ratios of one table share their "
            f"reference, so they are apart together or not at all. The two that are farthest apart "
            f"differ by {100 * worst:.1f} %.\n"
        ),
        grid(head, [_line(both) for both in found], "ll"),
        *(f"* {line}\n" for line in _only(one, two)),
    ]
    return "\n".join(parts)


def _line(both: Both) -> tuple[str, ...]:
    many = ("-", "-", "-") if both.many is None else _cells(both.many)
    return (prose(both.table), code(both.arm), *_cells(both.single), *many)


def _cells(pair: Pair) -> tuple[str, str, str]:
    return ratio(pair.one), ratio(pair.two), "yes" if pair.agrees else "**no**"


def _only(one: Results, two: Results) -> Iterator[str]:
    """Tables and rows that were measured in one of the runs and not in the other."""
    first, second = _measured(one), _measured(two)
    tables = {table for table, _ in first} ^ {table for table, _ in second}
    for name in sorted(tables):
        where = "one" if any(table == name for table, _ in first) else "two"
        yield f"the table {code(name)} was measured in run {where} alone"
    for table, arm in sorted(first ^ second):
        if table in tables:
            continue
        where = "one" if (table, arm) in first else "two"
        yield f"{code(arm)} of {code(table)} was measured in run {where} alone"


def _measured(results: Results) -> set[tuple[str, str]]:
    return {
        (clocks.table, arm.name)
        for clocks in results.clocks
        for arm in (clocks.report.reference, *clocks.report.candidates)
    }


def main() -> int:
    """0 when the two could be held against each other, whatever came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.again", description=__doc__)
    parser.add_argument("one", type=Path)
    parser.add_argument("two", type=Path)
    parser.add_argument("--out", type=Path, help="a Markdown file for the same text")
    given = parser.parse_args()
    try:
        text = again(read(given.one), read(given.two))
        if given.out:
            disk.write_text(given.out, text)
    except EdgepipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)
    print(text, end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
