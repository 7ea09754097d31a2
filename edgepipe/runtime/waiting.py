"""Texts that wait for a worker: bounded, oldest first, taken with others of like length."""

from __future__ import annotations

import enum
import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from edgepipe.errors import OverloadedError, UsageError
from edgepipe.runtime.tokenize import Row

Call = TypeVar("Call")
_LOOK = 64
"""Texts looked through for batch mates, oldest first, so that taking stays quick."""


class Likeness(enum.Enum):
    """Which texts may run together."""

    NONE = "none"
    """None: every text runs alone."""
    EQUAL = "equal"
    """Those of the same number of tokens."""
    SIMILAR = "similar"
    """The longest at most a quarter longer than the shortest: the rest of a row is padding."""


@dataclass(eq=False)
class Job(Generic[Call]):
    """One text of a call. ``due`` and ``since`` are seconds of the monotonic clock."""

    row: Row
    length: int
    due: float
    call: Call
    index: int
    since: float = field(default_factory=time.monotonic)


class WaitingLine(Generic[Call]):
    """Shared by one event loop, which puts and drops, and the worker threads, which take.

    The oldest text is always among those that are taken next, so none waits for ever. Texts that
    are too late are left out: their caller's own clock tells them.
    """

    def __init__(self, limit: int, budget: int, delay: float, likeness: Likeness) -> None:
        self._limit = limit
        self._budget = budget
        self._delay = delay
        self._likeness = likeness
        self._jobs: dict[Job[Call], None] = {}
        self._changed = threading.Condition()
        self._open = True

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, jobs: Sequence[Job[Call]]) -> None:
        """All ``jobs`` wait. Raises OverloadedError or UsageError, and then none does."""
        with self._changed:
            self.require_room(len(jobs))
            self._jobs.update(dict.fromkeys(jobs))
            self._changed.notify(len(jobs))

    def require_room(self, count: int) -> None:
        """What ``put`` raises for so many jobs, as it stands now; none of them waits yet."""
        if count > self._limit:
            raise UsageError(f"{count} texts in one call, and only {self._limit} may wait")
        if not self._open:
            raise UsageError("this AsyncClassifier is closed")
        if len(self._jobs) + count > self._limit:
            raise OverloadedError(f"{len(self._jobs)} texts are waiting; try again later")

    def drop(self, jobs: Sequence[Job[Call]]) -> None:
        """None of ``jobs`` waits any more; those that were taken already are left alone."""
        with self._changed:
            for job in jobs:
                self._jobs.pop(job, None)

    def take(self) -> list[Job[Call]]:
        """The oldest text and its batch mates, as soon as there is one; empty: closed and empty."""
        with self._changed:
            while True:
                self._forget_late()
                if self._jobs:
                    patience = self._patience()
                    if patience <= 0:
                        return self._pick()
                    self._changed.wait(patience)
                elif self._open:
                    self._changed.wait()
                else:
                    return []

    def close(self, *, drain: bool) -> list[Job[Call]]:
        """Nothing new is accepted. Without ``drain``, the jobs that will never be taken."""
        with self._changed:
            self._open = False
            refused = [] if drain else list(self._jobs)
            for job in refused:
                del self._jobs[job]
            self._changed.notify_all()
            return refused

    def _forget_late(self) -> None:
        now = time.monotonic()
        while self._jobs and (oldest := next(iter(self._jobs))).due <= now:
            del self._jobs[oldest]

    def _patience(self) -> float:
        """Seconds left to wait for batch mates: none once others wait that will not be mates."""
        alone = self._likeness is Likeness.NONE or not self._delay
        if alone or not self._open or len(self._jobs) == self._limit:
            return 0.0
        mates = self._mates()
        if len(mates) < len(self._jobs) or mates[0].length * (len(mates) + 1) > self._budget:
            return 0.0
        return mates[0].since + self._delay - time.monotonic()

    def _pick(self) -> list[Job[Call]]:
        mates = self._mates()
        for job in mates:
            del self._jobs[job]
        return mates

    def _mates(self) -> list[Job[Call]]:
        """The oldest job, then those closest to its length, older ones first among equals."""
        if self._likeness is Likeness.NONE:
            return [next(iter(self._jobs))]
        jobs = list(itertools.islice(self._jobs, _LOOK))
        oldest, now = jobs[0], time.monotonic()
        mates = [oldest]
        shortest = longest = oldest.length
        for job in sorted(jobs[1:], key=lambda job: abs(job.length - oldest.length)):
            low, high = min(shortest, job.length), max(longest, job.length)
            if job.due > now and self._alike(low, high) and high * (len(mates) + 1) <= self._budget:
                mates.append(job)
                shortest, longest = low, high
        return mates

    def _alike(self, shortest: int, longest: int) -> bool:
        if self._likeness is Likeness.EQUAL:
            return shortest == longest
        return 4 * longest <= 5 * shortest
