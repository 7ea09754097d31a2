"""The ONNX side of a benchmark: ``python -m edgepipe.measure.worker_onnx --model FOLDER …``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgepipe.worker import serve

if TYPE_CHECKING:
    from edgepipe.runtime import TextClassifier


class OnnxAnswerer:
    """A bundle or OnnxModel folder, answered as an application would ask it."""

    def __init__(self, classifier: TextClassifier) -> None:
        self._classifier = classifier

    def one(self, text: str) -> object:
        """The answer for one text, run alone."""
        return self._classifier(text)

    def many(self, texts: Sequence[str]) -> object:
        """The answers for all texts, in batches of like length."""
        return self._classifier(texts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve one model until the parent has done with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--variant", default="auto")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plain", action="store_true")
    given = parser.parse_args(arguments)

    def loaded() -> OnnxAnswerer:
        from edgepipe.runtime import load

        return OnnxAnswerer(
            load(
                given.model,
                device=given.device,
                variant=given.variant,
                threads=given.threads,
                plain=given.plain,
            )
        )

    return serve(loaded, stdin=sys.stdin, stdout=sys.stdout)


if __name__ == "__main__":
    raise SystemExit(main())
