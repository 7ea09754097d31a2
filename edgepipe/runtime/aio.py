# ruff: noqa: ASYNC109 - a deadline is told to the workers too, which a timeout outside could not
"""Many texts at once from one event loop: small batches, bounded waiting, deadlines.

Worker threads share one session, whose weights exist once; onnxruntime gives the interpreter's lock
back while it computes. A worker that is free takes the oldest text, and others of like length with
it, as far as the budget of tokens goes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from types import EllipsisType, TracebackType
from typing import Protocol, Self, overload

import numpy as np

from edgepipe.errors import BundleError, DeadlineError, UsageError
from edgepipe.runtime.batching import BUDGET, Logits
from edgepipe.runtime.manifest import Variant
from edgepipe.runtime.scores import Prediction
from edgepipe.runtime.tokenize import Row
from edgepipe.runtime.waiting import Job, Likeness, WaitingLine

_BREATH = 4096
"""Characters tokenized in a row before the event loop gets its turn (about 6 ms)."""


class Inferring(Protocol):
    """What is needed of a ``TextClassifier``. ``infer`` is called from several threads at once."""

    @property
    def variant(self) -> Variant:
        """Which says whether its answers depend on batch mates."""

    def encode(self, text: object, index: int = 0) -> Row:
        """Token ids of one text; UsageError with ``index`` when it is none."""

    def infer(self, rows: Sequence[Row], *, exact: bool = False) -> Logits:
        """Float32 [rows, labels]."""

    def best(self, logits: Logits) -> list[Prediction]:
        """The best label of every row."""

    def ranked(self, logits: Logits, top_k: int | None) -> list[list[Prediction]]:
        """The ``top_k`` best labels of every row, all for None."""


class AsyncClassifier:
    """A ``TextClassifier`` to await, from as many tasks of one event loop as wanted.

    Use it as an asynchronous context manager: leaving it answers what was accepted, or refuses it
    when an exception leaves. The classifier itself stays open; it belongs to whoever loaded it.

    Args:
        classifier: what ``load`` gave, best with ``threads=1`` when there are several workers.
        workers: threads that infer at the same time, over one session.
        budget: tokens that a worker takes at once, padding included; ``infer`` may cut it smaller.
        delay: seconds that a free worker waits for more texts, from the arrival of the oldest. It
            pays where a batch is much cheaper than its texts alone; on a CPU it is not.
        queue: texts that may wait; beyond it calls raise OverloadedError at once.
        exact: answers do not depend on batch mates (``TextClassifier.logits`` says how).
        on_batch: called in the event loop with the token counts of every batch that was computed.
    """

    def __init__(  # noqa: PLR0913 - keyword only, each with a default
        self,
        classifier: Inferring,
        *,
        workers: int = 1,
        budget: int = BUDGET,
        delay: float = 0.0,
        queue: int = 256,
        exact: bool = True,
        on_batch: Callable[[Sequence[int]], None] | None = None,
    ) -> None:
        for name, value, least in (
            ("workers", workers, 1),
            ("budget", budget, 1),
            ("queue", queue, 1),
            ("delay", delay, 0),
        ):
            if not value >= least:
                raise UsageError(f"{name} is {value!r}; it must be at least {least}")
        self._classifier = classifier
        self._workers = workers
        self._exact = exact
        self._on_batch = on_batch
        self._line: WaitingLine[_Call] = WaitingLine(
            queue, budget, delay, _likeness(classifier.variant, exact=exact)
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = 0
        self._ended = asyncio.Event()

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise UsageError("an AsyncClassifier is entered once; make another one")
        self._loop = asyncio.get_running_loop()
        self._running = self._workers
        for number in range(self._workers):
            name = f"edgepipe-worker-{number}"
            threading.Thread(target=self._work, args=(self._loop,), name=name, daemon=True).start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close(drain=kind is None)

    @property
    def waiting(self) -> int:
        """Texts that were accepted and that no worker has taken yet."""
        return len(self._line)

    @overload
    async def __call__(
        self, text: str | Sequence[str], *, timeout: float | None = None
    ) -> list[Prediction]: ...
    @overload
    async def __call__(  # type: ignore[overload-overlap] # a str is a Sequence[str], and comes first
        self, text: str, *, top_k: int | None, timeout: float | None = None
    ) -> list[Prediction]: ...
    @overload
    async def __call__(
        self, text: Sequence[str], *, top_k: int | None, timeout: float | None = None
    ) -> list[list[Prediction]]: ...
    async def __call__(
        self,
        text: str | Sequence[str],
        *,
        top_k: int | EllipsisType | None = ...,
        timeout: float | None = None,
    ) -> list[Prediction] | list[list[Prediction]]:
        """What ``TextClassifier`` answers to the same arguments. ``logits`` tells the rest."""
        if not (isinstance(top_k, EllipsisType | None) or (isinstance(top_k, int) and top_k >= 1)):
            raise UsageError(f"top_k is {top_k!r}, not a number of labels from 1 on, or None")
        single = isinstance(text, str)
        logits = await self._logits([text] if isinstance(text, str) else text, timeout)
        if isinstance(top_k, EllipsisType):
            return self._classifier.best(logits)
        ranked = self._classifier.ranked(logits, top_k)
        return ranked[0] if single else ranked

    async def logits(self, text: str | Sequence[str], *, timeout: float | None = None) -> Logits:
        """Float32 [labels] for a text, [texts, labels] for a list of them, in its order.

        ``timeout`` is in seconds. Of a call that was cancelled or is too late, nothing is computed
        that has not begun. All texts of a call are accepted, or none.

        Raises:
            UsageError: what is no text, by its index; more texts than may wait; closed already.
            OverloadedError: too many texts are waiting.
            DeadlineError: ``timeout`` is over.
        """
        if isinstance(text, str):
            single: Logits = (await self._logits([text], timeout))[0]
            return single
        return await self._logits(text, timeout)

    async def close(self, *, drain: bool = True) -> None:
        """No worker runs any more. What was waiting is answered, or refused without ``drain``.

        When this call is cancelled, what is still waiting is refused.
        """
        if self._loop is None:
            return
        self._refuse(self._line.close(drain=drain))
        try:
            await self._ended.wait()
        except asyncio.CancelledError:
            self._refuse(self._line.close(drain=False))
            raise

    async def _logits(self, texts: Sequence[str], timeout: float | None) -> Logits:
        if not isinstance(texts, (list, tuple)):
            raise UsageError(f"text is of type {type(texts).__name__}, not str or a list of str")
        if asyncio.get_running_loop() is not self._loop:
            raise UsageError("use an AsyncClassifier inside of 'async with', in that event loop")
        self._line.require_room(len(texts))  # before the texts are paid for; put decides
        due = time.monotonic() + timeout if timeout is not None else float("inf")
        try:
            async with asyncio.timeout(timeout) as clock:
                return await self._answer(await self._encode(texts), due)
        except TimeoutError as error:
            if not clock.expired():
                raise
            raise DeadlineError(f"no answer within {timeout} seconds") from error

    async def _encode(self, texts: Sequence[str]) -> list[Row]:
        """The tokenizer holds the interpreter's lock, so that a thread would not help."""
        rows, spent = [], 0
        for index, text in enumerate(texts):
            rows.append(self._classifier.encode(text, index))
            spent += len(text)
            if spent > _BREATH and len(rows) < len(texts):
                spent = 0
                await asyncio.sleep(0)
        return rows

    async def _answer(self, rows: Sequence[Row], due: float) -> Logits:
        if not rows:
            return self._classifier.infer(rows)
        call = _Call(len(rows), asyncio.get_running_loop().create_future())
        jobs = [Job(row, len(row.ids), due, call, index) for index, row in enumerate(rows)]
        self._line.put(jobs)
        try:
            await call.done
        finally:
            self._line.drop(jobs)
        return call.logits[0][None] if len(rows) == 1 else np.stack(call.logits)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """One worker's thread, until the line is closed and empty."""
        while jobs := self._line.take():
            outcome: Logits | Exception
            try:
                outcome = self._infer(jobs)
            except Exception as error:  # noqa: BLE001 - raised again in everyone who waits for it
                outcome = error
            _tell(loop, self._deliver, jobs, outcome)
            del jobs, outcome  # not kept alive while the worker waits
        _tell(loop, self._end)

    def _infer(self, jobs: Sequence[Job[_Call]]) -> Logits:
        logits = self._classifier.infer([job.row for job in jobs], exact=self._exact)
        if len(logits) != len(jobs):
            raise BundleError(f"{len(logits)} answers to {len(jobs)} texts; make the bundle anew")
        return logits

    def _deliver(self, jobs: Sequence[Job[_Call]], outcome: Logits | Exception) -> None:
        if isinstance(outcome, Exception):
            for job in jobs:
                job.call.fail(_own(outcome))
            return
        for job, logits in zip(jobs, outcome, strict=True):
            job.call.set(job.index, logits)
        if self._on_batch is not None:
            self._on_batch([job.length for job in jobs])

    def _end(self) -> None:
        self._running -= 1
        if not self._running:
            self._ended.set()

    @staticmethod
    def _refuse(jobs: Sequence[Job[_Call]]) -> None:
        for job in jobs:
            job.call.fail(UsageError("this AsyncClassifier was closed before the text's turn came"))


class _Call:
    """The answers that one call waits for. Touched by the event loop's thread alone."""

    def __init__(self, size: int, done: asyncio.Future[None]) -> None:
        self.logits: list[Logits] = [np.empty(0, np.float32)] * size
        self.done = done
        self._missing = size

    def set(self, index: int, logits: Logits) -> None:
        self.logits[index] = logits
        self._missing -= 1
        if not self._missing and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


def _tell(loop: asyncio.AbstractEventLoop, said: Callable[..., None], *what: object) -> None:
    """``said`` is called in the event loop, or never, when that has ended without waiting."""
    try:
        loop.call_soon_threadsafe(said, *what)
    except RuntimeError:
        if not loop.is_closed():
            raise


def _own(error: Exception) -> Exception:
    """A copy for one caller: raised, an error takes up where it has been, and stays with that.

    Made without ``__init__``, which may want other arguments than the message.
    """
    own = type(error).__new__(type(error), *error.args)
    own.__dict__.update(error.__dict__)
    own.__cause__ = error
    return own


def _likeness(variant: Variant, *, exact: bool) -> Likeness:
    """Which texts may run together."""
    if not exact:
        return Likeness.SIMILAR
    return Likeness.EQUAL if variant.batch_invariant else Likeness.NONE
