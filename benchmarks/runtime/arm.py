"""One way to answer many texts, as a benchmark worker: the runtime's, or one that pads more."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepipe.measure.child import Arm
from edgepipe.worker import serve

if TYPE_CHECKING:
    from edgepipe.runtime import TextClassifier

STRATEGIES = ("runtime", "arrival", "longest")
"""By length under a token budget; 16 as they come, padded to their longest, or to that of all."""
_BATCH = 16


def arm(  # noqa: PLR0913 (what an arm can be)
    name: str,
    bundle: Path,
    *,
    variant: str = "auto",
    strategy: str = "runtime",
    threads: int = 1,
    workers: int = 1,
) -> Arm:
    """The command that starts this file with these settings."""
    options = {
        "bundle": bundle,
        "variant": variant,
        "strategy": strategy,
        "threads": threads,
        "workers": workers,
    }
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    return Arm(name, (sys.executable, str(Path(__file__).resolve()), *words))


class Runtime:
    """What an application calls."""

    def __init__(self, classifier: TextClassifier) -> None:
        self._classifier = classifier

    def one(self, text: str) -> object:
        """The answer for one text."""
        return self._classifier(text)

    def many(self, texts: Sequence[str]) -> object:
        """The answers for all texts."""
        return self._classifier(texts)


class Padded:
    """The same tokenizer, session and settings, with batches of 16 in the order of arrival."""

    def __init__(self, classifier: TextClassifier, session: Any, *, to_longest: bool) -> None:
        self._encode = classifier.encode
        self._session = session
        self._names = [value.name for value in session.get_inputs()]
        self._pad = classifier.manifest.pad_token_id
        self._to_longest = to_longest

    def one(self, text: str) -> object:
        """The label of one text."""
        return self.many([text])

    def many(self, texts: Sequence[str]) -> list[int]:
        """The label of every text."""
        rows = [self._encode(text) for text in texts]
        longest = max(len(row.ids) for row in rows) if self._to_longest else 0
        found: list[int] = []
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            feed = self._feed(batch, longest or max(len(row.ids) for row in batch))
            found += self._session.run(["logits"], feed)[0].argmax(axis=1).tolist()
        return found

    def _feed(self, rows: Sequence[Any], tokens: int) -> dict[str, Any]:
        import numpy as np

        shape = (len(rows), tokens)
        made = {
            "input_ids": np.full(shape, self._pad, np.int64),
            "attention_mask": np.zeros(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
        }
        for line, row in enumerate(rows):
            made["input_ids"][line, : len(row.ids)] = row.ids
            made["attention_mask"][line, : len(row.ids)] = 1
            made["token_type_ids"][line, : len(row.types)] = row.types
        return {name: made[name] for name in self._names}


def _loader(given: argparse.Namespace) -> Callable[[], Runtime | Padded]:
    def loaded() -> Runtime | Padded:
        from edgepipe.runtime import load
        from edgepipe.runtime.session import SessionPlan, open_session

        classifier = load(
            given.bundle, variant=given.variant, threads=given.threads, workers=given.workers
        )
        if given.strategy == "runtime":
            return Runtime(classifier)
        graph = classifier.variant.graphs["model"]
        plan = SessionPlan(given.bundle / graph.file, graph.session, "cpu", given.threads)
        return Padded(classifier, open_session(plan), to_longest=given.strategy == "longest")

    return loaded


def main() -> int:
    """Serve one arm until the parent has done with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--variant", default="auto")
    parser.add_argument("--strategy", choices=STRATEGIES, default="runtime")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    return serve(_loader(parser.parse_args()), stdin=sys.stdin, stdout=sys.stdout)


if __name__ == "__main__":
    raise SystemExit(main())
