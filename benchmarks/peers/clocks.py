"""One table's clocks: rounds of the project's own measuring code, each kept when it is done."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from benchmarks.peers.environments import nowhere
from benchmarks.peers.records import Clocks, ColdStart, Crash
from benchmarks.peers.work import Work
from edgepipe.errors import StageError
from edgepipe.measure.child import Arm, Batch, Block
from edgepipe.measure.latency import CONTROL, figures, report
from edgepipe.measure.rounds import ArmRound, Budget, Conditions, Session, Texts

Say = Callable[[str], None]
_CALLS = 10
_DROP = 2


def clocks(  # noqa: PLR0913 (what to time, on what, for how long)
    table: str,
    arms: Sequence[Arm],
    singles: Sequence[str],
    batches: Sequence[Sequence[str]],
    work: Work,
    *,
    blocks: int,
    seed: int,
    say: Say,
) -> Clocks:
    """A round for each of ``batches``, with the texts that it answers in one call.

    In a round every arm, the first of them twice, answers in a fresh process: first ``blocks``
    times ten single texts, the same for all, in random order of the arms; then its batch. An arm
    whose process fails is left out from then on, and its rounds with it. Rounds of an earlier,
    interrupted run are taken over.
    """
    name = f"rounds/{table}"
    kept = work.lines(name)
    for number in range(len(kept), len(batches)):
        say(f"{table}: round {number + 1} of {len(batches)}, {len(arms)} arms side by side")
        conditions = _conditions(blocks, seed + number)
        kept.append(_round(_working(arms, kept), Texts(singles, batches[number]), conditions, say))
        work.append(name, kept[-1])
    working = _working(arms, kept)
    whole = Texts(singles, batches[0])
    return _judged(table, working, kept, whole, _conditions(blocks, seed), _lost(arms, kept))


def _working(arms: Sequence[Arm], kept: Sequence[dict[str, Any]]) -> list[Arm]:
    """Those that no round so far left out."""
    return [arm for arm in arms if all(arm.name in told["arms"] for told in kept)]


def _lost(arms: Sequence[Arm], kept: Sequence[dict[str, Any]]) -> list[Crash]:
    """Those that some round left out, by its own words, or because they could not run then."""
    told = [Crash(**crash) for told in kept for crash in told["crashes"]]
    names = {crash.arm for crash in told} | {arm.name for arm in _working(arms, kept)}
    why = "it could not run when the first rounds were measured: measure anew for its figures"
    return told + [
        Crash(arm=arm.name, why=why, command="") for arm in arms if arm.name not in names
    ]


def _conditions(blocks: int, seed: int) -> Conditions:
    # a round_seconds of 0: so many blocks and no more, and one batch call of every arm
    budget = Budget(round_blocks=blocks, round_seconds=0.0, calls=_CALLS, drop=_DROP)
    return Conditions(threads=1, seed=seed, budget=budget)


def _both(arms: Sequence[Arm]) -> list[Arm]:
    return [arms[0], replace(arms[0], name=CONTROL), *arms[1:]]


def _round(arms: Sequence[Arm], texts: Texts, conditions: Conditions, say: Say) -> dict[str, Any]:
    """What every arm's process told; arms whose process failed are left out, and told too."""
    crashes: list[Crash] = []
    while True:
        begin = time.monotonic()
        session = Session(_both(arms), texts, conditions)
        try:
            session.run_round()
        except StageError as error:
            broken = _broken(arms, error)
            crashes.append(Crash(arm=broken.name, why=nowhere(str(error)), command=""))
            arms = [arm for arm in arms if arm is not broken]
            say(f"{error}; {broken.name} is left out")
            continue
        told = zip(session.arms, session.rounds[0], strict=True)
        return {
            "seconds": time.monotonic() - begin,
            "arms": {arm.name: asdict(arm_round) for arm, arm_round in told},
            "crashes": [crash.model_dump() for crash in crashes],
        }


def _broken(arms: Sequence[Arm], error: StageError) -> Arm:
    """The arm whose process failed; the error itself when that is the reference."""
    for arm in arms[1:]:
        if str(error).startswith(f"{arm.name}: "):
            return arm
    raise error


def _judged(  # noqa: PLR0913, PLR0917 (the parts of a table)
    table: str,
    arms: Sequence[Arm],
    kept: Sequence[dict[str, Any]],
    texts: Texts,
    conditions: Conditions,
    crashes: Sequence[Crash],
) -> Clocks:
    session = Session(_both(arms), texts, conditions)
    session.rounds = [[_arm_round(told["arms"][arm.name]) for arm in session.arms] for told in kept]
    measured = figures(session, sum(told["seconds"] for told in kept))
    cold = [
        _cold(arm.name, [told[index] for told in session.rounds])
        for index, arm in enumerate(session.arms)
        if arm.name != CONTROL
    ]
    times = report(measured, texts, conditions, data="", split="test")
    return Clocks(table=table, report=times, cold=tuple(cold), crashes=tuple(crashes))


def _arm_round(told: dict[str, Any]) -> ArmRound:
    return ArmRound(
        load_s=told["load_s"],
        cold_s=told["cold_s"],
        blocks=[Block(tuple(b["cpu_ns"]), tuple(b["wall_ns"])) for b in told["blocks"]],
        batches=[Batch(b["cpu_ns"], b["wall_ns"]) for b in told["batches"]],
        peak_memory=told["peak_memory"],
    )


def _cold(name: str, rounds: Sequence[ArmRound]) -> ColdStart:
    loads = [told.load_s or 0.0 for told in rounds]
    totals = [told.cold_s or 0.0 for told in rounds]
    return ColdStart(
        arm=name,
        load_s=statistics.median(loads),
        first_s=max(0.0, statistics.median(totals) - statistics.median(loads)),
        total_s=statistics.median(totals),
        totals_s=tuple(totals),
    )
