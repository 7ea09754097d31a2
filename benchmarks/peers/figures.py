"""What the results say of each row, and of two rows beside each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from benchmarks.peers.lineup import Arm, Recipe, Table
from benchmarks.peers.records import (
    Accuracy,
    Answering,
    Clocks,
    ColdStart,
    Environment,
    Made,
    Results,
)
from edgepipe.measure.records import ArmTimes, BenchmarkReport, Speedup, unpacked
from edgepipe.measure.statistics import TWO_SIDED, drop_bounds, ratio_bounds, ratio_estimate

OURS = "edgepipe"
"""This project's name as a tool."""
BY_HAND = "plain"
"""The tool's name of a session that a user writes without any tool."""
KINDS = ("fp32", "int8", "int8, a student of half the layers, trained on the labelled texts")
"""What rows are compared with first: a smaller model is another thing than the same in int8."""
_MEGA = 1e6
What = Literal["speedups", "throughputs"]
LogRatios = Sequence[Sequence[float]]


class Found(NamedTuple):
    """A figure and its two-sided 95 % interval."""

    value: float
    low: float
    high: float


class Failure(NamedTuple):
    """Why there are no figures. Texts are as they came, with whatever may be in them."""

    word: Literal["crash", "not built"]
    ended: str
    command: str
    """Empty where there is none to tell."""
    said: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """An arm and all that was measured of it; None where that did not come to pass."""

    arm: Arm
    recipe: Recipe
    is_reference: bool
    made: Made | None
    accuracy: Accuracy | None
    times: ArmTimes | None
    single: Speedup | None
    """Over the reference; None for the reference itself, too."""
    many: Speedup | None
    cold: ColdStart | None
    environment: Environment | None
    """The one that answers."""
    answering: Answering | None
    failure: Failure | None

    @property
    def kind(self) -> str:
        """One of ``KINDS``."""
        return KINDS[2] if self.recipe.trained else self.recipe.precision

    @property
    def ratio(self) -> float:
        """How many times as fast as the reference single texts are answered; 0 if that failed."""
        if self.single is not None:
            return self.single.ratio
        return 1.0 if self.times is not None else 0.0

    @property
    def many_ratio(self) -> float | None:
        """The same for many texts in batches; None where they were not measured."""
        if self.many is not None:
            return self.many.ratio
        timed = self.times is not None and self.times.texts_per_cpu_second > 0
        return 1.0 if self.is_reference and timed else None

    @property
    def flips(self) -> int | None:
        """Answers that differ from torch's."""
        return None if self.accuracy is None else self.accuracy.flips

    @property
    def cold_s(self) -> float | None:
        """Seconds from the start of the process to its first answer."""
        return None if self.cold is None else self.cold.total_s

    @property
    def peak_mb(self) -> float | None:
        """Resident memory at its most."""
        return None if self.times is None else self.times.peak_memory_bytes / _MEGA

    @property
    def installed_mb(self) -> float | None:
        """Of the environment that answers."""
        built = self.environment
        return None if built is None or built.failed else built.bytes / _MEGA

    @property
    def files_mb(self) -> float | None:
        """Of everything that ships."""
        return None if self.made is None or self.made.failed else self.made.bytes / _MEGA

    @property
    def made_s(self) -> float | None:
        """Seconds from the checkpoint to what ships."""
        return self.made.seconds if self.made and self._is_made else None

    @property
    def lines_to_make(self) -> int | None:
        """Statements and commands that a user writes."""
        return self.made.lines if self.made and self._is_made else None

    @property
    def lines_to_answer(self) -> int | None:
        """Statements that a user writes."""
        return None if self.answering is None else self.answering.lines

    @property
    def _is_made(self) -> bool:
        """Whether there was something to make: the checkpoint itself costs nothing."""
        return bool(self.recipe.how) and self.made is not None and not self.made.failed


def table(results: Results, name: str) -> Table | None:
    """The line-up's table of that name, if it ran."""
    return next((found for found in results.tables if found.name == name), None)


def clocks(results: Results, name: str) -> Clocks | None:
    """The times of the table of that name, if it was timed."""
    return next((found for found in results.clocks if found.table == name), None)


def rows(results: Results, name: str) -> tuple[Row, ...]:
    """The rows of a table, kind by kind: the reference first, then the fastest."""
    lined_up, timed = table(results, name), clocks(results, name)
    if lined_up is None:
        return ()
    found = [_row(results, lined_up, timed, arm) for arm in lined_up.arms]
    return tuple(sorted(found, key=lambda r: (KINDS.index(r.kind), not r.is_reference, -r.ratio)))


def _row(results: Results, lined_up: Table, timed: Clocks | None, arm: Arm) -> Row:
    times: dict[str, ArmTimes] = {}
    single: dict[str, Speedup] = {}
    many: dict[str, Speedup] = {}
    if timed is not None:
        times = {t.name: t for t in (timed.report.reference, *timed.report.candidates)}
        single = {s.candidate: s for s in timed.report.speedups}
        many = {s.candidate: s for s in timed.report.throughputs}
    recipe = _recipe(results, arm.recipe)
    named = arm.name
    return Row(
        arm=arm,
        recipe=recipe,
        is_reference=arm is lined_up.arms[0],
        made=_made(results, recipe, lined_up.model),
        accuracy=next((found for found in results.accuracy if found.arm == named), None),
        times=times.get(named),
        single=single.get(named),
        many=many.get(named),
        cold=next((c for c in (timed.cold if timed else ()) if c.arm == named), None),
        environment=_environment(results, arm.environment),
        answering=next((found for found in results.answering if found.arm == named), None),
        failure=_failure(results, lined_up, timed, arm),
    )


def _recipe(results: Results, name: str) -> Recipe:
    return next(found for found in results.recipes if found.name == name)


def _made(results: Results, recipe: Recipe, model: str) -> Made | None:
    wanted = (recipe.name, model)
    return next((found for found in results.made if (found.recipe, found.model) == wanted), None)


def _environment(results: Results, name: str) -> Environment | None:
    return next((found for found in results.environments if found.name == name), None)


def _failure(results: Results, lined_up: Table, timed: Clocks | None, arm: Arm) -> Failure | None:
    """The first thing that went wrong on the way to the arm's figures."""
    for step in _steps(results, arm.recipe):
        built = _environment(results, step.environment)
        if built is not None and built.failed:
            return not_built(built)
        made = _made(results, step, lined_up.model)
        if made is not None and made.failed:
            return not_made(made)
    built = _environment(results, arm.environment)
    if built is not None and built.failed:
        return not_built(built)
    for broken in timed.crashes if timed else ():
        if broken.arm == arm.name:
            code = "crashed" if broken.exit_code is None else f"exit code {broken.exit_code}"
            return Failure("crash", code, broken.command, broken.why)
    return None


def _steps(results: Results, name: str) -> list[Recipe]:
    """A recipe and those that it starts from, the first to be made first."""
    found: list[Recipe] = []
    while name and name not in [recipe.name for recipe in found]:
        found.append(_recipe(results, name))
        name = found[-1].of
    return found[::-1]


def not_built(environment: Environment) -> Failure:
    """An environment is missing."""
    ended = f"the environment {environment.name} could not be built"
    return Failure("not built", ended, "", environment.failed)


def not_made(made: Made) -> Failure:
    """A recipe left nothing."""
    return Failure("crash", f"exit code {made.exit_code}", made.call, made.said)


def log_ratios(report: BenchmarkReport, name: str, what: What) -> LogRatios:
    """``ln(reference / arm)`` of every block, by process round; zeros for the reference.

    Raises ValueError for an arm that the report does not know, or that was not timed so.
    """
    speedups: tuple[Speedup, ...] = getattr(report, what)
    if name == report.reference.name and speedups:
        return [[0.0] * len(blocks) for blocks in speedups[0].log_ratios]
    for found in speedups:
        if found.candidate == name:
            return found.log_ratios
    raise ValueError(f"no {what} of {name!r}")


def versus(report: BenchmarkReport, one: str, other: str, what: What = "speedups") -> Found:
    """How many times as fast as ``other`` the arm ``one`` is.

    Both stood beside the same calls of the reference, block by block, so the reference's time
    cancels: ``ln(reference / one) - ln(reference / other)`` is ``ln(other / one)``.
    """
    pairs = zip(log_ratios(report, one, what), log_ratios(report, other, what), strict=True)
    return _ratio([[a - b for a, b in zip(mine, rival, strict=True)] for mine, rival in pairs])


def colder(one: ColdStart, other: ColdStart) -> Found:
    """How many times as long as ``one`` the arm ``other`` takes to its first answer."""
    pairs = zip(one.totals_s, other.totals_s, strict=True)
    return _ratio([[math.log(theirs / mine)] for mine, theirs in pairs])


def lost(one: Accuracy, other: Accuracy) -> Found:
    """The accuracy of ``other`` minus that of ``one``, paired text by text."""
    mine, theirs = (unpacked(found.right, found.examples) for found in (one, other))
    if len(mine) != len(theirs):
        raise ValueError(f"{one.arm} and {other.arm} answered different texts")
    only_theirs = int(((theirs == 1) & (mine == 0)).sum())
    only_mine = int(((mine == 1) & (theirs == 0)).sum())
    bounds = drop_bounds(only_theirs, only_mine, len(mine), confidence=TWO_SIDED)
    return Found((only_theirs - only_mine) / max(1, len(mine)), bounds.low, bounds.high)


def _ratio(log_ratios: LogRatios) -> Found:
    bounds = ratio_bounds(log_ratios, confidence=TWO_SIDED)
    return Found(math.exp(ratio_estimate(log_ratios)[0]), bounds.low, bounds.high)


def best_peer(results: Results, name: str = "tools") -> Row | None:
    """The fastest int8 row that others made and whose accuracy is known."""
    return _fastest_int8(row for row in rows(results, name) if row.recipe.tool != OURS)


def our_best(results: Results, *, trained: bool, name: str = "tools") -> Row | None:
    """The fastest int8 row that edgepipe made, answered by its runtime, its accuracy known.

    Of the students with ``trained``, else of those that hold the teacher's own weights.
    """
    ours = (row for row in rows(results, name) if row.recipe.tool == row.arm.tool == OURS)
    return _fastest_int8(row for row in ours if row.recipe.trained == trained)


def _fastest_int8(found: Iterator[Row]) -> Row | None:
    known = [r for r in found if r.recipe.precision == "int8" and r.accuracy and r.times]
    return max(known, key=lambda row: row.ratio, default=None)


def by_edgepipe(row: Row) -> bool:
    """Whether edgepipe's runtime answers."""
    return row.arm.tool == OURS


def fastest(results: Results, name: str, wanted: Callable[[Row], bool]) -> Row | None:
    """The row with the most texts a second in batches."""
    found = [row for row in rows(results, name) if row.many_ratio is not None and wanted(row)]
    return max(found, key=lambda row: row.many_ratio or 0.0, default=None)
