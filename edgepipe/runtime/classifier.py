"""Text classification with a bundle: texts in, labels and scores out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from types import EllipsisType, TracebackType
from typing import Self, overload

import numpy as np
from tokenizers import Encoding

from edgepipe.errors import UsageError
from edgepipe.runtime import batching
from edgepipe.runtime.manifest import Manifest, Variant
from edgepipe.runtime.network import Logits, Network
from edgepipe.runtime.scores import Prediction, best, ranked
from edgepipe.runtime.session import effective_settings
from edgepipe.runtime.tokenize import TextTokenizer

Texts = Sequence[str]
_WINDOW = 256


class TextClassifier:
    """Answers as a transformers text-classification pipeline does. Make one with ``load``.

    May be shared between threads, and goes on working in a forked process (on the CPU), where it
    opens its session anew. Use it as a context manager, or ``close`` it, to give its memory back.
    """

    def __init__(
        self, manifest: Manifest, variant: Variant, tokenizer: TextTokenizer, network: Network
    ) -> None:
        self.labels = manifest.labels
        self._manifest = manifest
        self._variant = variant
        self._tokenizer = tokenizer
        self._network = network
        self._ones = np.ones((1, manifest.max_length), np.int64)

    @overload
    def __call__(self, text: str | Texts) -> list[Prediction]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap] # a str is a Sequence[str] too, and comes first
        self, text: str, *, top_k: int | None
    ) -> list[Prediction]: ...
    @overload
    def __call__(self, text: Texts, *, top_k: int | None) -> list[list[Prediction]]: ...
    def __call__(
        self, text: str | Texts, *, top_k: int | EllipsisType | None = ...
    ) -> list[Prediction] | list[list[Prediction]]:
        """``[{"label": …, "score": …}]`` for a text; a list of such dicts for a list of texts.

        With ``top_k`` every text gets a list of its ``top_k`` best labels, best first; with None,
        of all labels. Scores are softmax probabilities, for a single label the logistic function.
        Texts are batched by length; ``logits`` tells what that means. Raises UsageError, naming the
        index, for what is no text.
        """
        if isinstance(text, str):
            logits = self._single(text, 0)
            if top_k is ...:
                return best(logits, self.labels)
            return ranked(logits, self.labels, _checked(top_k))[0]
        logits = self.logits(text)
        if top_k is ...:
            return best(logits, self.labels)
        return ranked(logits, self.labels, _checked(top_k))

    def logits(self, texts: Texts, *, exact: bool = False) -> Logits:
        """Float32 [texts, labels], in the order of ``texts``.

        Texts of similar length run together, filled up to the longest. ``exact`` makes an answer
        independent of its batch mates: only texts of equal length run together, and where the
        variant is not batch invariant (dynamic int8 takes its ranges per batch) each runs alone.
        """
        return self._logits(texts, 0, exact=exact)

    def stream(self, texts: Iterable[str], *, window: int = _WINDOW) -> Iterator[Prediction]:
        """The best label of every text, in order, holding at most ``window`` texts at a time."""
        if window < 1:
            raise UsageError(f"window is {window}; it must be at least 1")
        remaining = iter(texts)
        start = 0
        while some := list(itertools.islice(remaining, window)):
            yield from best(self._logits(some, start, exact=False), self.labels)
            start += len(some)

    def explain(self) -> dict[str, object]:
        """What runs and how, as plain JSON values."""
        plan = self._network.plan
        return {
            "bundle": self._manifest.name,
            "variant": self._variant.name,
            "precision": self._variant.precision,
            "batch_invariant": self._variant.batch_invariant,
            "device": plan.device,
            "provider": self._network.provider(),
            "threads": plan.threads,
            "session": effective_settings(plan),
            "max_length": self._manifest.max_length,
            "labels": list(self.labels),
        }

    def close(self) -> None:
        """The model's memory is given back; any later call is a UsageError."""
        self._network.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _single(self, text: str, index: int) -> Logits:
        """Logits [1, labels], with as little Python as it takes."""
        encoding = self._tokenizer.encode(text, index)
        ids = np.array([encoding.ids], np.int64)
        types = np.array([encoding.type_ids], np.int64)
        return self._network.run(ids, self._ones[:, : ids.shape[1]], types)

    def _logits(self, texts: Texts, start: int, *, exact: bool) -> Logits:
        if isinstance(texts, (str, bytes)) or not isinstance(texts, Sequence):
            kind = type(texts).__name__
            raise UsageError(f"texts is of type {kind}, not a list of str; stream takes iterators")
        encodings = [self._tokenizer.encode(text, start + n) for n, text in enumerate(texts)]
        logits = np.empty((len(texts), len(self.labels)), np.float32)
        for batch in self._plan([len(e.ids) for e in encodings], exact=exact):
            logits[batch] = self._batch([encodings[index] for index in batch])
        return logits

    def _plan(self, lengths: Sequence[int], *, exact: bool) -> list[list[int]]:
        alone = exact and not self._variant.batch_invariant
        equal = exact or not self._network.masks
        return batching.plan(lengths, budget=1 if alone else batching.BUDGET, equal=equal)

    def _batch(self, encodings: Sequence[Encoding]) -> Logits:
        ids = [encoding.ids for encoding in encodings]
        return self._network.run(
            batching.pad(ids, self._manifest.pad_token_id),
            batching.mask([len(row) for row in ids]),
            batching.pad([encoding.type_ids for encoding in encodings], 0),
        )


def _checked(top_k: int | EllipsisType | None) -> int | None:
    if top_k is None or (isinstance(top_k, int) and top_k >= 1):
        return top_k
    raise UsageError(f"top_k is {top_k!r}, not a number of labels from 1 on, or None for all")
