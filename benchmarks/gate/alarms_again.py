"""Gates made of the recorded rounds of others, by the rules of a live one."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from edgepipe.measure.latency import GATE
from edgepipe.measure.statistics import ratio_bounds
from edgepipe.measure.stopping import Limit, at_the_limit, bias, decided
from edgepipe.pipeline.gate import LatencyGate

RULE = LatencyGate(measure="latency", of="candidate", against="reference", max_slowdown=0.05)
LIMIT = Limit(RULE.of, RULE.limit, RULE.confidence)
Rounds = list[list[float]]


@dataclass(frozen=True)
class Gate:
    """One live gate, as a line of the work file keeps it."""

    condition: str
    slower: float
    number: int
    outcome: str
    seconds: float
    load: float
    """The machine's load average before it."""
    log_ratios: Rounds
    control: Rounds
    doubts: list[str]


@dataclass(frozen=True)
class Again:
    """A resampled gate."""

    outcome: str
    rounds: int
    doubt: bool


def outcome(log_ratios: Rounds, doubts: Sequence[str]) -> str:
    """What the gate says of these: held against its own verdicts in ``resampled``."""
    bounds = ratio_bounds(log_ratios, confidence=LIMIT.confidence)
    if doubts:
        return "inconclusive"
    if bounds.low >= LIMIT.min_ratio:
        return "pass"
    return "fail" if bounds.high < LIMIT.min_ratio else "inconclusive"


def resampled(gates: Sequence[Gate], count: int) -> list[Again]:
    """``count`` gates from the rounds of ``gates``, which are all of one kind."""
    for gate in gates:
        if outcome(gate.log_ratios, gate.doubts) != gate.outcome:
            raise SystemExit(f"the verdict of gate {gate.number} is not that of its figures")
    pool = [pair for g in gates for pair in zip(g.log_ratios, g.control, strict=True)]
    pace = statistics.median(gate.seconds / len(gate.log_ratios) for gate in gates)
    most = max(GATE.rounds, int(GATE.seconds / pace))
    draw = random.Random(0)  # noqa: S311 (reproducible, no secret)
    return [_again(pool, most, draw) for _ in range(count)]


def _again(
    pool: Sequence[tuple[list[float], list[float]]], most: int, draw: random.Random
) -> Again:
    log_ratios: Rounds = []
    control: Rounds = []
    while True:
        candidate, sentinel = draw.choice(pool)
        blocks = draw.choices(range(len(candidate)), k=len(candidate))
        log_ratios.append([candidate[block] for block in blocks])
        control.append([sentinel[block] for block in blocks])
        if len(control) < GATE.rounds:
            continue
        doubt = bias(control, "single texts")
        known = decided(log_ratios, LIMIT) or at_the_limit(log_ratios, LIMIT, GATE.half_width)
        if len(control) >= most or (known and not doubt):
            return Again(outcome(log_ratios, [doubt] if doubt else []), len(control), bool(doubt))
