"""Process rounds: fresh children for every arm, blocks in random order, the same texts for all."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgepipe.measure.child import Arm, Batch, Block, Child, running
from edgepipe.measure.models import Device

Progress = Callable[[int, int, str], None]
_WARM_UP = 32
_BATCHES = 3


def silent(done: int, total: int, message: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long to measure: at least the minimum, then until the ratios are known well enough."""

    rounds: int = 4
    """Process rounds at least."""
    round_seconds: float = 8.0
    """Single texts are timed for so long in a round, at least. Batches take up to half of it: one
    call of every arm at least, and three at most."""
    round_blocks: int = 6
    """And for so many blocks of every arm."""
    seconds: float = 120.0
    """No further round begins when it would end after this; the minimum is run in any case."""
    half_width: float = 0.02
    """Enough is known when every ratio's 95 % interval reaches this far, relatively, or less."""
    calls: int = 10
    """Timed calls of a block."""
    together: bool = False
    """Children load at the same time, but in the first round, which alone tells how long loading
    takes."""
    drop: int = 2
    """Calls before them that warm the caches: another arm had the core meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What holds for every arm of a measurement."""

    device: Device = "cpu"
    threads: int = 1
    seed: int = 0
    budget: Budget = field(default_factory=Budget)

    @property
    def clock(self) -> Literal["cpu", "wall"]:
        """CPU time where one CPU thread does all the work: it hardly sees a busy machine."""
        return "cpu" if self.device == "cpu" and self.threads == 1 else "wall"


@dataclass(frozen=True)
class Texts:
    """What is answered: texts one by one, and a batch for throughput (empty: not measured)."""

    single: Sequence[str]
    batch: Sequence[str] = ()

    @property
    def sha256(self) -> str:
        """Of all of them, in order."""
        text = json.dumps([list(self.single), list(self.batch)])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class ArmRound:
    """What one child told."""

    load_s: float | None
    """None when others were loading too."""
    blocks: list[Block] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    peak_memory: int = 0
    cold_s: float | None = None
    """From the start of the process to its first answer, by the clock on the wall; None
    when others were loading too."""

    def times(self, clock: Literal["cpu", "wall"]) -> npt.NDArray[np.float64]:
        """Nanoseconds, float64 [blocks, calls]; never 0."""
        blocks = [b.cpu_ns if clock == "cpu" else b.wall_ns for b in self.blocks]
        return np.maximum(np.asarray(blocks, np.float64), 1.0)

    def batch_times(self, clock: Literal["cpu", "wall"]) -> npt.NDArray[np.float64]:
        """Nanoseconds of every batch call, float64 [calls]; never 0."""
        calls = [b.cpu_ns if clock == "cpu" else b.wall_ns for b in self.batches]
        return np.maximum(np.asarray(calls, np.float64), 1.0)


class Session:
    """A measurement under way: process rounds, each with all arms."""

    def __init__(self, arms: Sequence[Arm], texts: Texts, conditions: Conditions) -> None:
        self.arms = arms
        self.texts = texts
        self.conditions = conditions
        self.rounds: list[list[ArmRound]] = []
        self._random = np.random.default_rng(conditions.seed)
        self._texts = self._stream()

    def run_round(self) -> None:
        """One more round is in ``rounds``: an ArmRound for each arm, in their order."""
        with contextlib.ExitStack() as stack:
            children, told = self._start(stack)
            self._pin(children)
            self._singles(children, told)
            if self.texts.batch:
                self._batches(children, told)
            for child, arm_round in zip(children, told, strict=True):
                arm_round.peak_memory = child.peak_memory()
        self.rounds.append(told)

    def log_ratios(self, reference: int, candidate: int) -> tuple[tuple[float, ...], ...]:
        """``ln(reference / candidate)`` of every block, by round: of the time all its texts took.

        A median over texts would not see a candidate that is slow on a third of them.
        """
        clock = self.conditions.clock
        return tuple(
            tuple(
                np.log(
                    told[reference].times(clock).sum(axis=1)
                    / told[candidate].times(clock).sum(axis=1)
                ).tolist()
            )
            for told in self.rounds
        )

    def batch_log_ratios(self, reference: int, candidate: int) -> tuple[tuple[float, ...], ...]:
        """``ln(reference / candidate)`` of every batch call, by round."""
        clock = self.conditions.clock
        return tuple(
            tuple(
                np.log(
                    told[reference].batch_times(clock) / told[candidate].batch_times(clock)
                ).tolist()
            )
            for told in self.rounds
        )

    def _start(self, stack: contextlib.ExitStack) -> tuple[list[Child], list[ArmRound]]:
        """All children, loaded one after the other where the time that takes is to be told."""
        threads = self.conditions.threads
        clock: Literal["thread", "process"] = (
            "thread" if self.conditions.clock == "cpu" else "process"
        )
        together = self.conditions.budget.together and bool(self.rounds)
        children = {}
        told = {}
        for index in self._order():
            begin = time.monotonic()
            children[index] = stack.enter_context(running(self.arms[index], threads=threads))
            children[index].begin_load(clock)
            told[index] = ArmRound(None) if together else self._alone(children[index], begin)
        for child in children.values() if together else ():
            child.loaded()
        indices = range(len(self.arms))
        return [children[i] for i in indices], [told[i] for i in indices]

    def _alone(self, child: Child, begin: float) -> ArmRound:
        load_s = child.loaded()
        child.block(self.texts.single[:1], 0)
        return ArmRound(load_s, cold_s=time.monotonic() - begin)

    def _pin(self, children: Sequence[Child]) -> None:
        """All children of one thread on one core, another one in every round.

        Cores differ by what their neighbours do, and children that sit on two of them for a round
        would differ by as much. Only one of them works at a time.
        """
        if self.conditions.clock == "cpu" and hasattr(os, "sched_getaffinity"):
            core = int(self._random.choice(sorted(os.sched_getaffinity(0))))
            for child in children:
                child.pin(core)

    def _batches(self, children: Sequence[Child], told: Sequence[ArmRound]) -> None:
        end = time.monotonic() + self.conditions.budget.round_seconds / 2
        for done in range(_BATCHES):
            if done and time.monotonic() >= end:
                break
            for index in self._order():
                if not done:
                    children[index].many(self.texts.batch[:_WARM_UP])
                told[index].batches.append(children[index].many(self.texts.batch))

    def _singles(self, children: Sequence[Child], told: Sequence[ArmRound]) -> None:
        budget = self.conditions.budget
        end = time.monotonic() + budget.round_seconds
        done = 0
        while done < budget.round_blocks or time.monotonic() < end:
            texts = list(itertools.islice(self._texts, budget.drop + budget.calls))
            for index in self._order():
                told[index].blocks.append(children[index].block(texts, budget.drop))
            done += 1

    def _order(self) -> list[int]:
        return [int(index) for index in self._random.permutation(len(self.arms))]

    def _stream(self) -> Iterator[str]:
        """Every text once in random order, then again in another order, through all rounds.

        So each of them is timed sooner or later, and none is always among the calls that are
        dropped.
        """
        random = np.random.default_rng(self.conditions.seed)
        while True:
            for index in random.permutation(len(self.texts.single)):
                yield self.texts.single[index]
