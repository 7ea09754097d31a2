r"""What the runtime adds to tokenizer and session, and where the microseconds of one call go.

    python benchmarks/runtime/glue.py --bundle artifacts/movie-reviews/bundle

Three arms answer the same texts one by one, in one process, with one tokenizer file and one and the
same session: ``classifier(text)``; what a skilled person writes by hand (``by_hand`` below); and
that without making a label and a score of the logits. CPU time of the calling thread, in
interleaved blocks whose first calls are dropped, garbage collection off. Every round is a process
of its own. Exit code 4 when the ratio to the second arm is over the limit, 5 when its interval
holds the limit.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import math
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import parser, publish, reviews, table

from edgepipe.errors import ExitCode
from edgepipe.measure.statistics import TWO_SIDED, ratio_bounds, ratio_estimate

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from edgepipe.runtime import TextClassifier

LIMIT = 1.03
_WARM_UP = 3
_STEPS = ("text to tokens", "tokens to arrays", "session.run", "logits to label and score")
Call = Callable[[str], object]


class ByHand:
    """Tokenizer and session, and nothing between them that one could leave out."""

    def __init__(self, tokenizer: Tokenizer, session: Any, labels: Sequence[str]) -> None:
        self._tokenizer, self._session, self._labels = tokenizer, session, labels
        self._names = {value.name for value in session.get_inputs()}

    def logits(self, text: str) -> Any:
        """One row of them."""
        encoding = self._tokenizer.encode(text)
        return self._session.run(["logits"], self.feed(encoding))[0][0]

    def answer(self, text: str) -> tuple[str, float]:
        """Label and softmax score."""
        return self.label(self.logits(text))

    def feed(self, encoding: Any) -> dict[str, Any]:
        """The inputs that the session wants."""
        feed = {"input_ids": np.array([encoding.ids])}
        if "attention_mask" in self._names:
            feed["attention_mask"] = np.array([encoding.attention_mask])
        if "token_type_ids" in self._names:
            feed["token_type_ids"] = np.array([encoding.type_ids])
        return feed

    def label(self, logits: Any) -> tuple[str, float]:
        """The most probable one."""
        exponents = np.exp(logits - logits.max())
        shares = exponents / exponents.sum()
        index = int(shares.argmax())
        return self._labels[index], float(shares[index])

    def steps(self, text: str) -> list[int]:
        """Nanoseconds of each step."""
        clock = time.perf_counter_ns
        marks = [clock()]
        encoding = self._tokenizer.encode(text)
        marks.append(clock())
        feed = self.feed(encoding)
        marks.append(clock())
        logits = self._session.run(["logits"], feed)[0][0]
        marks.append(clock())
        self.label(logits)
        marks.append(clock())
        return [after - before for before, after in itertools.pairwise(marks)]


class Stopwatch:
    """Stands before the session's runner and takes its time."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self.ns = 0

    def run(self, feed: dict[str, Any]) -> Any:
        """What the runner gives."""
        began = time.perf_counter_ns()
        logits = self._runner.run(feed)
        self.ns = time.perf_counter_ns() - began
        return logits


def steps_of(classifier: TextClassifier, watch: Stopwatch, text: str) -> list[int]:
    """Nanoseconds of each step of ``classifier(text)``."""
    clock = time.perf_counter_ns
    marks = [clock()]
    row = classifier.encode(text)
    marks.append(clock())
    logits = classifier.infer([row])
    marks.append(clock())
    classifier.best(logits)
    marks.append(clock())
    encode, infer, label = (b - a for a, b in itertools.pairwise(marks))
    return [encode, infer - watch.ns, watch.ns, label]


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """One round: CPU nanoseconds a call of every block and arm, and the steps of every call."""
    from tokenizers import Tokenizer

    from edgepipe.runtime import load

    texts = reviews(given.texts, seed=given.seed)
    classifier = load(given.bundle, variant=given.variant, threads=1)
    network = classifier._network  # noqa: SLF001 (one session for all: another lies elsewhere)
    tokenizer = Tokenizer.from_file(str(given.bundle / classifier.manifest.tokenizer))
    tokenizer.enable_truncation(classifier.manifest.max_length)
    tokenizer.no_padding()
    hand = ByHand(tokenizer, network._session, classifier.labels)  # noqa: SLF001
    arms: list[Call] = [classifier, hand.answer, hand.logits]
    for text in texts:
        (theirs, share), (ours,) = hand.answer(text), classifier(text)
        if theirs != ours["label"] or not math.isclose(share, ours["score"], rel_tol=1e-6):
            raise SystemExit(f"the arms differ: {ours} and {theirs}, {share}")
    gc.disable()
    order = random.Random(given.seed)  # noqa: S311 (reproducible, no secret)
    blocks = [_block(arms, texts, order) for _ in range(given.blocks)]
    by_hand = [hand.steps(text) for text in texts]
    network._runner = watch = Stopwatch(network._runner)  # noqa: SLF001
    runtime = [steps_of(classifier, watch, text) for text in texts]
    tokens = [len(classifier.encode(text).ids) for text in texts]
    return {"blocks": blocks, "by_hand": by_hand, "runtime": runtime, "tokens": tokens}


def _block(arms: Sequence[Call], texts: Sequence[str], order: random.Random) -> list[float]:
    found = [0.0] * len(arms)
    for index in order.sample(range(len(arms)), len(arms)):
        arm = arms[index]
        for text in texts[:_WARM_UP]:
            arm(text)
        began = time.thread_time_ns()
        for text in texts:
            arm(text)
        found[index] = (time.thread_time_ns() - began) / len(texts)
    return found


def in_fresh_processes(rounds: int) -> list[dict[str, Any]]:
    """What this same command tells as a child, ``rounds`` times."""
    told = []
    for number in range(1, rounds + 1):
        print(f"round {number} of {rounds}", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, *sys.argv[1:], "--child"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        told.append(json.loads(done.stdout))
    return told


def ratio(told: Sequence[dict[str, Any]], arm: int) -> dict[str, float | int]:
    """The runtime's time over that of ``arm``, with its two-sided 95 % interval over processes."""
    logs = [[math.log(block[0] / block[arm]) for block in one["blocks"]] for one in told]
    bounds, (center, _) = ratio_bounds(logs, confidence=TWO_SIDED), ratio_estimate(logs)
    return {
        "ratio": math.exp(center),
        "low": bounds.low,
        "high": bounds.high,
        "rounds": len(logs),
    }


def median_us(told: Sequence[dict[str, Any]], what: str) -> list[float]:
    """Microseconds of each step, the median over all calls of all rounds."""
    calls = [call for one in told for call in one[what]]
    return [statistics.median(column) / 1e3 for column in zip(*calls, strict=True)]


def interval(found: dict[str, float | int]) -> str:
    """Ratio and interval as text."""
    return f"{found['ratio']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def judged(found: dict[str, float | int]) -> tuple[ExitCode, str]:
    """What the interval says of the limit."""
    if found["low"] > LIMIT:
        return ExitCode.GATE_FAILED, f"over the limit of {LIMIT}"
    if found["high"] > LIMIT:
        return ExitCode.INCONCLUSIVE, f"cannot tell whether it is over the limit of {LIMIT}"
    return ExitCode.OK, f"within the limit of {LIMIT}"


def main() -> int:
    """Measure, print, judge."""
    made = parser(__doc__)
    made.add_argument("--texts", type=int, default=60, help="answered in every block")
    made.add_argument("--blocks", type=int, default=12)
    made.add_argument("--rounds", type=int, default=6)
    made.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = made.parse_args()
    if given.child:
        print(json.dumps(measure(given)))
        return 0
    told = in_fresh_processes(given.rounds)
    by_hand, runtime = median_us(told, "by_hand"), median_us(told, "runtime")
    ratios = {"by_hand": ratio(told, 1), "without_scores": ratio(told, 2)}
    code, verdict = judged(ratios["by_hand"])
    figures: dict[str, object] = {
        "ratios": ratios,
        "limit": LIMIT,
        "verdict": verdict,
        "mean_tokens": statistics.mean(n for one in told for n in one["tokens"]),
        "steps_us": {"steps": _STEPS, "by_hand": by_hand, "runtime": runtime},
    }
    rows = [
        [name, f"{hand:.1f}", f"{ours:.1f}", f"{ours - hand:+.1f}"]
        for name, hand, ours in zip(
            (*_STEPS, "all"), [*by_hand, sum(by_hand)], [*runtime, sum(runtime)], strict=True
        )
    ]
    text = (
        table(["µs a call, median", "by hand", "runtime", "difference"], rows)
        + f"\nCPU time over by hand: {interval(ratios['by_hand'])}: {verdict}.\n"
        + f"Over the same without label and score: {interval(ratios['without_scores'])}.\n"
    )
    publish(given, "glue", figures, text)
    return int(code)


if __name__ == "__main__":
    raise SystemExit(main())
