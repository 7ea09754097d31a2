"""``edgepipe.measure.worker_onnx`` made slower by a known share: after every call it spins.

It spins until that share of the call's own time has passed too, both by the CPU clock of the
thread, which is the clock that a gate on one CPU thread reads.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edgepipe.measure.worker_onnx import OnnxAnswerer
from edgepipe.worker import serve


class SlowAnswerer:
    """Answers as ``answerer`` does, in ``1 + slower`` times its time."""

    def __init__(self, answerer: OnnxAnswerer, slower: float) -> None:
        self._answerer = answerer
        self._times = 1 + slower

    def one(self, text: str) -> object:
        """The answer for one text, run alone."""
        return self._slowly(self._answerer.one, text)

    def many(self, texts: Sequence[str]) -> object:
        """The answers for all texts."""
        return self._slowly(self._answerer.many, texts)

    def _slowly(self, call: Callable[..., object], given: object) -> object:
        clock = time.thread_time_ns
        began = clock()
        answer = call(given)
        end = began + int((clock() - began) * self._times)
        while clock() < end:
            pass
        return answer


def main() -> int:
    """Serve one model until the parent has done with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--variant", default="auto")
    parser.add_argument("--slower", type=float, required=True, help="a share: 0.1 is 10 %%")
    given = parser.parse_args()

    def loaded() -> SlowAnswerer:
        from edgepipe.runtime import load

        classifier = load(given.model, variant=given.variant, threads=1)
        return SlowAnswerer(OnnxAnswerer(classifier), given.slower)

    return serve(loaded, stdin=sys.stdin, stdout=sys.stdout)


if __name__ == "__main__":
    raise SystemExit(main())
