"""Workers that share one session's weights, beside one worker, and beside threads inside a run.

    python benchmarks/runtime/workers.py --bundle artifacts/movie-reviews/bundle

Wall time of one call with many real sentences, fresh processes in every round. It wants cores with
nothing else to do.
"""

from __future__ import annotations

import statistics

import lab
from arm import arm

ARMS = {"one worker": (1, 1), "workers": (0, 1), "threads": (1, 0)}
"""Workers and threads of a run; 0 stands for the number that was asked for."""


def main() -> None:
    """Measure and write down."""
    parser = lab.parser(__doc__)
    parser.add_argument("--texts", type=int, default=5000, help="of a round")
    parser.add_argument("--blocks", type=int, default=5, help="that a round's texts are cut into")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    texts = lab.reviews(given.texts, seed=given.seed)
    arms = [
        arm(
            name,
            given.bundle,
            variant=given.variant,
            workers=workers or given.workers,
            threads=threads or given.workers,
        )
        for name, (workers, threads) in ARMS.items()
    ]
    rounds = [lab.parts(texts, given.blocks)] * given.rounds
    timed = lab.interleaved(arms, rounds, clock="wall", seed=given.seed)
    count = given.blocks * len(rounds[0][0])
    speeds = [[count / seconds for seconds in timed.seconds(n)] for n in range(len(ARMS))]
    names = ("one worker", f"{given.workers} workers", f"{given.workers} threads in a run")
    speedups = [timed.speedup(0, n) for n in (1, 2)]
    rows = [
        (name, f"{statistics.median(speed):.0f} ({min(speed):.0f} to {max(speed):.0f})", ratio)
        for name, speed, ratio in zip(names, speeds, ("1", *map(lab.times, speedups)), strict=True)
    ]
    head = ("", "texts a second, median of rounds (range)", "times one worker (95 %)")
    figures = {
        "texts_per_second": dict(zip(ARMS, speeds, strict=True)),
        "speedup_over_one_worker": dict(zip(("workers", "threads"), speedups, strict=True)),
        "workers_over_threads": timed.speedup(2, 1),
    }
    lab.publish(given, "workers", figures, lab.table(head, rows))


if __name__ == "__main__":
    main()
