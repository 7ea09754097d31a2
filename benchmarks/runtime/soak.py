"""Many requests on one session: does memory stay flat, and do threads change an answer?

    python benchmarks/runtime/soak.py --bundle artifacts/movie-reviews/bundle
    python benchmarks/runtime/soak.py --bundle … --leak            # a control: has to end with 4
    python benchmarks/runtime/soak.py --bundle … --threads 8 --calls 4000

Texts have random lengths up to what the model reads. Resident memory is read after every
``--every`` calls; its slope is Theil and Sen's median over all pairs, after the first fifth of the
readings, with its 95 % interval (P. K. Sen, JASA 63, 1968), which takes readings for independent.
Exit code 4 when the slope's lower bound is above the limit, or an answer differs; 5 when only the
upper bound is.
"""

from __future__ import annotations

import argparse
import random
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import lab
import numpy as np
from scipy import stats

from edgepipe.errors import ExitCode
from edgepipe.runtime import TextClassifier, load
from edgepipe.worker import rss_bytes

LIMIT = 16_000.0
"""Bytes in 1,000 calls: the smallest thing that a program can keep a call takes 16 of them."""
_DISTINCT = 500


class Slope(NamedTuple):
    """Bytes in 1,000 calls, with the bounds of a 95 % interval."""

    bytes: float
    low: float
    high: float


def texts(words: list[str], longest: int, seed: int) -> Iterator[str]:
    """Texts without end, none of them kept: a random number of words from a random place on."""
    draw = random.Random(seed)  # noqa: S311 (reproducible, no secret)
    while True:
        start = draw.randrange(len(words) - longest)
        yield " ".join(words[start : start + draw.randint(1, longest)])


def slope(calls: list[int], resident: list[int]) -> Slope:
    """How resident memory grows with calls, once the first fifth has warmed up."""
    begin = len(calls) // 5
    found = stats.theilslopes(resident[begin:], np.array(calls[begin:]) / 1000, 0.95)
    return Slope(float(found.slope), float(found.low_slope), float(found.high_slope))


def verdict(found: Slope) -> ExitCode:
    """Whether memory stays flat."""
    if found.low > LIMIT:
        return ExitCode.GATE_FAILED
    return ExitCode.INCONCLUSIVE if found.high > LIMIT else ExitCode.OK


def memory(
    given: argparse.Namespace, classifier: TextClassifier, stream: Iterator[str]
) -> ExitCode:
    """Call after call on one thread, reading memory in between."""
    kept: list[object] = []
    calls, resident = [], []
    begin = time.perf_counter()
    for number in range(1, given.calls + 1):
        answer = classifier(next(stream))
        if given.leak:
            kept.append(answer)
        if number % given.every == 0:
            calls.append(number)
            resident.append(rss_bytes())
    found = slope(calls, resident)
    figures: dict[str, object] = {
        "bytes_in_1000_calls": found._asdict(),
        "limit": LIMIT,
        "resident_mb": [round(value / 1e6, 2) for value in resident],
        "seconds": time.perf_counter() - begin,
    }
    rows = [
        ("requests", given.calls),
        (
            "resident memory, first and last reading",
            f"{resident[0] / 1e6:.1f}, {resident[-1] / 1e6:.1f} MB",
        ),
        (
            "slope, bytes in 1,000 calls",
            f"{found.bytes:.0f} (95 %: {found.low:.0f} to {found.high:.0f})",
        ),
        ("limit", f"{LIMIT:.0f}"),
    ]
    script = "soak-leak" if given.leak else "soak"
    lab.publish(given, script, figures, lab.table(("", ""), rows))
    return verdict(found)


def exactness(
    given: argparse.Namespace, classifier: TextClassifier, stream: Iterator[str]
) -> ExitCode:
    """Threads on one session get, bit for bit, what one thread gets for each text alone."""
    asked = [next(stream) for _ in range(_DISTINCT)]
    expected = [classifier(text, top_k=None) for text in asked]
    differing: list[str] = []

    def ask(seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311 (reproducible, no secret)
        for _ in range(given.calls):
            index = draw.randrange(len(asked))
            if classifier(asked[index], top_k=None) != expected[index]:
                differing.append(asked[index])

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(given.threads)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    total = given.threads * given.calls
    figures: dict[str, object] = {"calls": total, "differing": len(differing), "seconds": seconds}
    rows = [
        ("threads on one session", given.threads),
        ("calls", total),
        ("answers that differ in any bit", len(differing)),
        ("calls a second", f"{total / seconds:.0f}"),
    ]
    lab.publish(given, "soak-threads", figures, lab.table(("", ""), rows))
    return ExitCode.GATE_FAILED if differing else ExitCode.OK


def main() -> int:
    """Ask, write down, judge."""
    parser = lab.parser(__doc__)
    parser.add_argument("--calls", type=int, default=200_000, help="of each thread")
    parser.add_argument("--every", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=0, help="compare the answers of so many")
    parser.add_argument("--leak", action="store_true", help="keep every answer")
    given = parser.parse_args()
    words = " ".join(lab.reviews(2000, seed=given.seed)).split()
    with load(given.bundle, variant=given.variant, threads=1) as classifier:
        stream = texts(words, classifier.manifest.max_length, given.seed)
        check = exactness if given.threads else memory
        return check(given, classifier, stream)


if __name__ == "__main__":
    raise SystemExit(main())
