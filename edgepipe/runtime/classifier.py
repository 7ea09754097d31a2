"""Text classification with a bundle: texts in, labels and scores out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from types import EllipsisType, TracebackType
from typing import Self, overload

import numpy as np

from edgepipe.errors import UsageError
from edgepipe.runtime import batching
from edgepipe.runtime.batching import Logits
from edgepipe.runtime.manifest import Manifest, Variant
from edgepipe.runtime.network import Network
from edgepipe.runtime.scores import Prediction, activation, best, ranked
from edgepipe.runtime.session import effective_settings
from edgepipe.runtime.tokenize import Row, TextTokenizer, no_text
from edgepipe.runtime.workers import Workers

Texts = Sequence[str]
WINDOW = 1024
"""Texts whose tokens are held at a time: batches cut from more than these are filled up by less
than 1 % fewer tokens."""


class TextClassifier:
    """Answers as a transformers text-classification pipeline does. Make one with ``load``.

    May be shared between threads, and goes on working in a forked process (on the CPU), where it
    opens its session anew. Use it as a context manager, or ``close`` it, to give its memory back.
    """

    def __init__(
        self,
        manifest: Manifest,
        variant: Variant,
        tokenizer: TextTokenizer,
        network: Network,
        workers: int = 1,
    ) -> None:
        self.manifest = manifest
        self.variant = variant
        self.labels = manifest.labels
        self._function = activation(manifest.problem_type, len(manifest.labels))
        self._tokenizer = tokenizer
        self._network = network
        self._workers = Workers(workers)
        self._ones = np.ones((1, manifest.max_length), np.int64)

    @overload
    def __call__(self, text: str | Texts, *, exact: bool = False) -> list[Prediction]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap] # a str is a Sequence[str] too, and comes first
        self, text: str, *, top_k: int | None, exact: bool = False
    ) -> list[Prediction]: ...
    @overload
    def __call__(
        self, text: Texts, *, top_k: int | None, exact: bool = False
    ) -> list[list[Prediction]]: ...
    def __call__(
        self, text: str | Texts, *, top_k: int | EllipsisType | None = ..., exact: bool = False
    ) -> list[Prediction] | list[list[Prediction]]:
        """``[{"label": …, "score": …}]`` for a text; a list of such dicts for a list of texts.

        With ``top_k`` every text gets a list of its ``top_k`` best labels, best first; with None,
        of all labels. Scores are softmax probabilities; with one label, or several that may hold at
        once, the logistic function's; a regression's are its values. ``logits`` tells how a list is
        batched and what ``exact`` means. Raises UsageError, naming the index, for what is no text.
        """
        if isinstance(text, str):
            logits = self._alone(self._tokenizer.encode(text))
            if top_k is ...:
                return best(logits, self.labels, self._function)
            return self.ranked(logits, _checked(top_k))[0]
        logits = self.logits(text, exact=exact)
        if top_k is ...:
            return self.best(logits)
        return self.ranked(logits, _checked(top_k))

    def encode(self, text: object, index: int = 0) -> Row:
        """Token ids of one text, truncated; UsageError with ``index`` when it is no usable text."""
        return self._tokenizer.encode(text, index)

    def infer(self, rows: Sequence[Row], *, exact: bool = False) -> Logits:
        """Float32 [rows, labels], in the order of ``rows``; ``logits`` says what ``exact`` means.

        Rows of similar length run together, under the token budget. Safe to call from many threads.
        """
        if len(rows) == 1:
            return self._alone(rows[0])
        logits = np.empty((len(rows), len(self.labels)), np.float32)

        def answer(batch: list[int]) -> None:
            logits[batch] = self._batch([rows[index] for index in batch])

        self._workers.run(answer, self._plan([len(row.ids) for row in rows], exact=exact))
        return logits

    def best(self, logits: Logits) -> list[Prediction]:
        """The label with the highest score of every row of ``logits``."""
        return best(logits, self.labels, self._function)

    def ranked(self, logits: Logits, top_k: int | None) -> list[list[Prediction]]:
        """The ``top_k`` best labels of every row (all for None), best first."""
        return ranked(logits, self.labels, self._function, top_k)

    def logits(self, texts: Texts, *, exact: bool = False) -> Logits:
        """Float32 [texts, labels], in the order of ``texts``.

        Texts of similar length run together, filled up to the longest; of a long list, a window of
        ``WINDOW`` texts is tokenized and run after the other. ``exact`` makes an answer independent
        of its batch mates: only texts of equal length run together, and where the variant is not
        batch invariant (dynamic int8 takes its ranges per batch) each runs alone.
        """
        _require_texts(texts)
        logits = np.empty((len(texts), len(self.labels)), np.float32)
        for start in range(0, len(texts), WINDOW):
            some = texts[start : start + WINDOW]
            logits[start : start + len(some)] = self._window(some, start, exact=exact)
        return logits

    def stream(
        self, texts: Iterable[str], *, window: int = WINDOW, exact: bool = False
    ) -> Iterator[Prediction]:
        """The best label of every text, in order, holding at most ``window`` texts at a time."""
        if window < 1:
            raise UsageError(f"window is {window}; it must be at least 1")
        remaining = iter(texts)
        start = 0
        while some := list(itertools.islice(remaining, window)):
            yield from self.best(self._window(some, start, exact=exact))
            start += len(some)

    def explain(self) -> dict[str, object]:
        """What runs and how, as plain JSON values.

        ``nodes`` counts the operators by the provider that they are handed to, before onnxruntime's
        later fusions; ``variants`` tells of each whether its answers depend on batch mates.
        """
        plan = self._network.plan
        return {
            "bundle": self.manifest.name,
            "variant": self.variant.name,
            "precision": self.variant.precision,
            "batch_invariant": self.variant.batch_invariant,
            "variants": {v.name: {"exact": v.batch_invariant} for v in self.manifest.variants},
            "device": plan.device,
            "threads": plan.threads,
            "workers": self._workers.count,
            "session": effective_settings(plan),
            "max_length": self.manifest.max_length,
            "problem_type": self.manifest.problem_type,
            "labels": list(self.labels),
            **self._network.explain(),
        }

    def close(self) -> None:
        """The model's memory is given back; any later call is a UsageError."""
        self._network.close()
        self._workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _window(self, texts: Texts, start: int, *, exact: bool) -> Logits:
        rows = [self._tokenizer.encode(text, start + n) for n, text in enumerate(texts)]
        return self.infer(rows, exact=exact)

    def _plan(self, lengths: Sequence[int], *, exact: bool) -> list[list[int]]:
        alone = exact and not self.variant.batch_invariant
        equal = exact or not self._network.masks
        budget = 1 if alone else batching.share(sum(lengths), self._workers.count)
        return batching.plan(lengths, budget=budget, equal=equal)

    def _batch(self, rows: Sequence[Row]) -> Logits:
        if len(rows) == 1:
            return self._alone(rows[0])
        ids = [row.ids for row in rows]
        return self._network.run(
            batching.pad(ids, self.manifest.pad_token_id),
            batching.mask([len(row) for row in ids]),
            batching.pad([row.types for row in rows], 0),
        )

    def _alone(self, row: Row) -> Logits:
        """Logits [1, labels], with as little Python as it takes."""
        ids = np.array([row.ids], np.int64)
        types = np.array([row.types], np.int64)
        return self._network.run(ids, self._ones[:, : ids.shape[1]], types)


def _require_texts(texts: object) -> None:
    """UsageError unless ``texts`` is a list of str; at once, and not when the turn of one comes."""
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Sequence):
        kind = type(texts).__name__
        raise UsageError(f"texts is of type {kind}, not a list of str; stream takes iterators")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise no_text(text, index)


def _checked(top_k: int | EllipsisType | None) -> int | None:
    if top_k is None or (isinstance(top_k, int) and top_k >= 1):
        return top_k
    raise UsageError(f"top_k is {top_k!r}, not a number of labels from 1 on, or None for all")
