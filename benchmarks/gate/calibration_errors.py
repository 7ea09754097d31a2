"""How often the bounds of a calibration gate are wrong, beside a plain bootstrap's.

    python benchmarks/gate/calibration_errors.py

Texts are drawn from a population whose true probabilities are known; reference and candidate
overstate them by so many points, so that the true increase of the expected calibration error is
known too. A bound at 95 % may lie on the wrong side of it in 5 % of draws.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgepipe import disk
from edgepipe.measure.calibration import calibration, calibration_increase
from edgepipe.measure.records import Interval

RESULTS = Path(__file__).resolve().parents[1] / "results" / "gate-calibration-errors.md"
TEXTS = (400, 2000)
CLAIMS = ((0.0, 0.02), (0.0, 0.05), (0.0, 0.1), (0.05, 0.1), (0.05, 0.0))
"""What reference and candidate add to the true probability."""
CONFIDENCE = 0.95
RESAMPLES = 199
POPULATION = 2_000_000
Floats = npt.NDArray[np.float64]
Side = tuple[Floats, npt.NDArray[np.bool_]]


class Row(NamedTuple):
    """Shares of draws in which a bound lay on the wrong side of the true increase."""

    texts: int
    claims: tuple[float, float]
    truth: float
    seen: float
    """The increase measured, the mean over draws."""
    above: float
    """The true increase lay above the upper bound: a gate could have passed wrongly."""
    below: float
    plain_above: float
    plain_below: float
    width: float


def both(texts: int, claims: tuple[float, float], random: np.random.Generator) -> tuple[Side, Side]:
    """The same texts, answered as rightly by both, with probabilities that differ."""
    honest = 0.5 + 0.5 * random.beta(4, 1, texts)
    right = random.random(texts) < honest
    reference, candidate = (np.minimum(1.0, honest + claim) for claim in claims)
    return (reference, right), (candidate, right)


def increase(reference: Side, candidate: Side) -> float:
    """Of the expected calibration error."""
    return calibration(*candidate).ece - calibration(*reference).ece


def plain(reference: Side, candidate: Side, random: np.random.Generator) -> Interval:
    """The percentile bootstrap of the increase."""
    texts = len(reference[0])
    drawn = []
    for _ in range(RESAMPLES):
        again = random.integers(0, texts, texts)
        old, new = ((surely[again], right[again]) for surely, right in (reference, candidate))
        drawn.append(increase(old, new))
    low, high = np.quantile(drawn, [1 - CONFIDENCE, CONFIDENCE])
    return Interval(low=float(low), high=float(high))


def rows(trials: int, seed: int) -> Iterator[Row]:
    """One for each number of texts and pair of claims."""
    random = np.random.default_rng(seed)
    for texts, claims in itertools.product(TEXTS, CLAIMS):
        truth = increase(*both(POPULATION, claims, random))
        drawn = [both(texts, claims, random) for _ in range(trials)]
        ours = [
            calibration_increase(*pair, resamples=RESAMPLES, seed=n) for n, pair in enumerate(drawn)
        ]
        bounds = [found.bounds(CONFIDENCE) for found in ours]
        theirs = [plain(*pair, random) for pair in drawn]
        yield Row(
            texts,
            claims,
            truth,
            seen=float(np.mean([found.value for found in ours])),
            above=float(np.mean([truth > b.high for b in bounds])),
            below=float(np.mean([truth < b.low for b in bounds])),
            plain_above=float(np.mean([truth > b.high for b in theirs])),
            plain_below=float(np.mean([truth < b.low for b in theirs])),
            width=float(np.mean([b.high - b.low for b in bounds])),
        )


def markdown(found: list[Row], trials: int) -> str:
    """The table, in percent."""
    head = (
        "texts", "reference claims", "candidate claims", "true increase", "measured",
        "above the upper bound", "below the lower bound", "above, plain bootstrap",
        "below, plain bootstrap", "width",
    )  # fmt: skip
    made = f"{trials} draws a row; {datetime.now(UTC):%Y-%m-%d}"
    told = (
        "Increases of the expected calibration error, in points, and how often the truth lay "
        "beyond a bound that may miss 5 % of the time, in percent."
    )
    lines = [
        f"*Simulated, {made}; `benchmarks/gate/calibration_errors.py`*",
        *("", told, ""),
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
    ]
    for row in found:
        figures = (*row.claims, *row[2:])
        lines.append(f"| {row.texts} | {' | '.join(f'{100 * x:.1f}' for x in figures)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the table beside the other results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--into", type=Path, default=RESULTS)
    given = parser.parse_args()
    text = markdown(list(rows(given.trials, given.seed)), given.trials)
    disk.write_text(given.into, text)
    print(text)


if __name__ == "__main__":
    main()
