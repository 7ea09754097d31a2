"""A classifier that works only while its gate is open, and tells what it did."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np

from edgepipe.errors import UsageError
from edgepipe.runtime.batching import Logits
from edgepipe.runtime.manifest import Variant
from edgepipe.runtime.scores import Prediction
from edgepipe.runtime.tokenize import Row

PATIENCE = 60
"""Seconds until a test gives up; none of them waits that long."""


class Gated:
    """A token a word; the logits are its first token and its length. Works while ``gate`` is set.

    A word that is a number is its own token, any other one is 0.

    ``ran`` holds the lengths of every batch, in order; ``began`` counts those that were taken.
    """

    def __init__(self, *, invariant: bool = False) -> None:
        self.variant = Variant("fake", "fp32", {}, batch_invariant=invariant)
        self.gate = threading.Event()
        self.began = threading.Semaphore(0)
        self.ran: list[list[int]] = []
        self.error: Exception | None = None

    def encode(self, text: object, index: int = 0) -> Row:
        if not isinstance(text, str):
            raise UsageError(f"text {index} is of type {type(text).__name__}, not str")
        ids = [int(word) if word.isdecimal() else 0 for word in text[:9999].split()] or [0]
        return Row(ids, [0] * len(ids))

    def infer(self, rows: Sequence[Row], *, exact: bool = False) -> Logits:
        self.began.release()
        assert self.gate.wait(PATIENCE)
        self.ran.append([len(row.ids) for row in rows])
        if self.error:
            raise self.error
        return np.array([[row.ids[0], len(row.ids)] for row in rows], np.float32).reshape(-1, 2)

    def best(self, logits: Logits) -> list[Prediction]:
        return [{"label": str(int(row[0])), "score": float(row[1])} for row in logits]

    def ranked(self, logits: Logits, top_k: int | None) -> list[list[Prediction]]:
        return [[answer] * (top_k or 2) for answer in self.best(logits)]

    async def busy(self, times: int = 1) -> None:
        """A worker has taken a batch, ``times`` times."""
        for _ in range(times):
            assert await asyncio.to_thread(self.began.acquire, timeout=PATIENCE)
