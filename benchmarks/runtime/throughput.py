"""Texts of mixed length through the runtime's scheduler, beside two ways that pad more.

    python benchmarks/runtime/throughput.py --bundle artifacts/movie-reviews/bundle

Real sentences as they are, or with ``--mixture`` one to eight of them joined to a text, for a
bundle that reads so many tokens (``speed_model.py`` makes one). One thread, CPU time of that
thread, fresh processes in every round. The arms share tokenizer, graph and session settings.
"""

from __future__ import annotations

import argparse
import statistics

import lab
from arm import arm

from edgepipe.runtime import load

ARMS = {
    "runtime": "by length, under the token budget",
    "arrival": "16 as they come, padded to their longest",
    "longest": "16 as they come, padded to the longest of all",
}


def lengths(given: argparse.Namespace, texts: list[str]) -> dict[str, float]:
    """How long the texts are, in tokens after the model's own cut."""
    with load(given.bundle, variant=given.variant, threads=1) as classifier:
        found = sorted(len(classifier.encode(text).ids) for text in texts)
        cut = sum(count == classifier.manifest.max_length for count in found)
    at = [found[int(share * (len(found) - 1))] for share in (0.5, 0.9, 0.99, 1)]
    return {
        "mean": statistics.fmean(found),
        **dict(zip(("p50", "p90", "p99", "longest"), at, strict=True)),
        "share_at_the_limit": cut / len(found),
    }


def main() -> None:
    """Measure and write down."""
    parser = lab.parser(__doc__)
    parser.add_argument("--texts", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mixture", action="store_true")
    given = parser.parse_args()
    draw = lab.joined if given.mixture else lab.reviews
    texts = draw(given.texts, seed=given.seed)
    arms = [arm(name, given.bundle, variant=given.variant, strategy=name) for name in ARMS]
    rounds = [[part] for part in lab.parts(texts, given.rounds)]
    timed = lab.interleaved(arms, rounds, clock="cpu", seed=given.seed)
    count = len(rounds[0][0])
    speedups = {name: timed.speedup(list(ARMS).index(name), 0) for name in ("arrival", "longest")}
    speeds = [[count / seconds for seconds in timed.seconds(n)] for n in range(len(ARMS))]
    tokens = lengths(given, texts)
    rows = [
        (
            what,
            f"{statistics.median(speed):.0f} ({min(speed):.0f} to {max(speed):.0f})",
            lab.times(speedups[name]) if name in speedups else "1",
        )
        for (name, what), speed in zip(ARMS.items(), speeds, strict=True)
    ]
    head = (
        "batches",
        "texts a CPU second, median of rounds (range)",
        "how many times the runtime is faster (95 %)",
    )
    told = ", ".join(f"{key} {value:.3g}" for key, value in tokens.items())
    figures = {
        "tokens": tokens,
        "texts_per_cpu_second": dict(zip(ARMS, speeds, strict=True)),
        "runtime_speedup": speedups,
    }
    lab.publish(given, "throughput", figures, lab.table(head, rows) + f"\nTokens: {told}.\n")


if __name__ == "__main__":
    main()
