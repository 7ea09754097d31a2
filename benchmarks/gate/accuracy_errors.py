"""How often accuracy gates are wrong, beside the error that they promise.

    python benchmarks/gate/accuracy_errors.py

Texts are drawn from a population in which the candidate truly loses 0, 0.5, 1, 2 or 4 points, and
the gates themselves judge each draw, at a confidence of 95 %. A gate is wrong when it passes though
the true drop is the margin or more, or fails though it is the margin or less: at a true drop equal
to the margin both may happen in 5 % of draws, elsewhere less often. Beside them stand the verdicts
of two rules in use: "the difference of the two accuracies is within the margin", and "McNemar's
test finds no significant drop".
"""

from __future__ import annotations

import argparse
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from made_answers import Ints, of_counts, report

from edgepipe import __version__, disk
from edgepipe.measure.records import ValidationReport
from edgepipe.measure.statistics import mcnemar
from edgepipe.pipeline.gate import AccuracyGate, Gate, MacroF1Gate, SlicesGate
from edgepipe.pipeline.judge import judge

RESULTS = Path(__file__).resolve().parents[1] / "results"
DROPS = (0.0, 0.005, 0.01, 0.02, 0.04)
RATES = ((1000, 0.02), (1000, 0.05), (1000, 0.1), (100, 0.05))
"""Texts, and the share of them that one model only gets right: the drop's, where that is more."""
MARGINS = (0.01, 0.02)
CONFIDENCE = 0.95
PARTS = 4
SIGNIFICANT = 0.05
_ON = {"of": "new", "against": "old", "confidence": CONFIDENCE}
Figures = dict[str, float | int | str]


class Told(NamedTuple):
    """What the gate said of a draw, and what the two other rules would have."""

    gate: str
    subtraction: str
    mcnemar: str


def word_of(gate: Gate, found: ValidationReport) -> str:
    """The verdict."""
    (verdict,) = judge([gate], {"made up": found})
    return verdict.outcome


@functools.cache
def told(b: int, c: int, total: int, margin: float) -> Told:
    """All three on a draw in which ``b`` texts were lost and ``c`` gained."""
    gate = AccuracyGate(measure="accuracy", max_drop=margin, **_ON)
    lost = b > c and mcnemar(b, c) < SIGNIFICANT
    return Told(
        word_of(gate, of_counts(b, c, total)),
        "pass" if (b - c) / total <= margin else "fail",
        "fail" if lost else "pass",
    )


def accuracy(trials: int, random: np.random.Generator) -> Iterator[Figures]:
    """One row for each number of texts, rate of flips, true drop and margin."""
    for (total, rate), drop in itertools.product(RATES, DROPS):
        share = max(rate, drop)
        chances = [(share + drop) / 2, (share - drop) / 2, 1 - share]
        drawn = random.multinomial(total, chances, trials)[:, :2].tolist()
        for margin in MARGINS:
            said = [told(b, c, total, margin) for b, c in drawn]
            yield {
                "texts": total,
                "flips": share,
                "drop": drop,
                "margin": margin,
                **_shares("gate", (one.gate for one in said)),
                **_shares("subtraction", (one.subtraction for one in said)),
                **_shares("mcnemar", (one.mcnemar for one in said)),
            }


def _shares(who: str, words: Iterable[str]) -> dict[str, float]:
    count = Counter(words)
    return {
        f"{who} {word}": count[word] / count.total() for word in ("pass", "fail", "inconclusive")
    }


def columns(
    total: int, drops: Sequence[float], rate: float, random: np.random.Generator
) -> tuple[Ints, Ints, Ints, Ints]:
    """Truth, reference, candidate and part; each part of equal size with a true drop of its own."""
    parts = np.arange(total) % len(drops)
    lost = np.asarray(drops)[parts]
    share, drawn = np.maximum(rate, lost), random.random(total)
    truth = np.zeros(total, np.int64)
    new = (drawn < (share + lost) / 2).astype(np.int64)
    old = ((drawn >= (share + lost) / 2) & (drawn < share)).astype(np.int64)
    return truth, old, new, parts


def slices(trials: int, random: np.random.Generator) -> Iterator[Figures]:
    """A thousand texts in four parts; the margin is 4 points, the true drop at it or none."""
    margin, total = 0.04, 1000
    gate = SlicesGate(measure="slices", by="part", max_drop=margin, **_ON)
    cases = {
        "none in any part": (0.0,) * PARTS,
        "the margin in one part": (margin,) + (0.0,) * (PARTS - 1),
        "the margin in every part": (margin,) * PARTS,
        "twice the margin in one part": (2 * margin,) + (0.0,) * (PARTS - 1),
    }
    for name, drops in cases.items():
        said = [word_of(gate, report(*columns(total, drops, 0.05, random))) for _ in range(trials)]
        yield {"lost": name, "texts": total, "margin": margin, **_shares("gate", said)}


def macro_f1(trials: int, random: np.random.Generator) -> Iterator[Figures]:
    """Two classes, evenly or unevenly; the margin is the true drop, where both errors are largest.

    The reference is right on 90 % of each class; the candidate loses 4 % of each and gains 2 %.
    """
    for total, rare in itertools.product((1000, 200), (0.5, 0.1, 0.03)):
        population = _cells(rare)
        margin = _true_drop(population)
        gate = MacroF1Gate(measure="macro_f1", max_drop=margin, **_ON)
        said = []
        for drawn in random.multinomial(total, list(population.values()), trials):
            truth, old, new = np.repeat(list(population), drawn, axis=0).T
            said.append(word_of(gate, report(truth, old, new, f1=True)))
        yield {"texts": total, "rare": rare, "margin": margin, **_shares("gate", said)}


def _cells(rare: float) -> dict[tuple[int, int, int], float]:
    """The share of texts by label and both answers."""
    outcomes = {(True, True): 0.86, (True, False): 0.04, (False, True): 0.02, (False, False): 0.08}
    return {
        (label, label if old else 1 - label, label if new else 1 - label): size * chance
        for label, size in ((0, 1 - rare), (1, rare))
        for (old, new), chance in outcomes.items()
    }


def _true_drop(population: dict[tuple[int, int, int], float]) -> float:
    """Macro-F1 of the population, by its definition, for one model minus the other."""

    def f1(model: int, label: int) -> float:
        right = sum(p for cell, p in population.items() if cell[0] == cell[model] == label)
        either = sum(
            p * ((cell[0] == label) + (cell[model] == label)) for cell, p in population.items()
        )
        return 2 * right / either

    return sum(f1(1, label) - f1(2, label) for label in (0, 1)) / 2


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def percent(share: float | str) -> str:
    """With one decimal."""
    return f"{100 * float(share):.1f}"


def wrong(row: Figures, who: str) -> str:
    """How often the verdict was wrong in the row: its passes, its failures, or both."""
    drop, margin = float(row["drop"]), float(row["margin"])
    passes = percent(row[f"{who} pass"]) if drop >= margin else ""
    fails = percent(row[f"{who} fail"]) if drop <= margin else ""
    return " / ".join(
        f"{what} {share}" for what, share in (("pass", passes), ("fail", fails)) if share
    )


def text_of(figures: dict[str, list[Figures]], trials: dict[str, int]) -> str:
    """All tables."""
    words: list[Callable[[Figures], str]] = [
        lambda row: percent(row["gate pass"]),
        lambda row: percent(row["gate fail"]),
        lambda row: percent(row["gate inconclusive"]),
    ]
    verdicts = ("pass", "fail", "inconclusive")
    rules = ("gate", "subtraction", "mcnemar")
    rows = [
        [
            row["texts"], percent(row["flips"]), percent(row["drop"]), percent(row["margin"]),
            *(word(row) for word in words), *(wrong(row, who) for who in rules),
        ]
        for row in figures["accuracy"]
    ]  # fmt: skip
    head = ("texts", "flips", "true drop", "margin", *verdicts, "wrong: gate", "by subtraction",
            "by McNemar")  # fmt: skip
    return (
        f"All in percent. Wrong verdicts beside a nominal error of {percent(1 - CONFIDENCE)}: a "
        "pass where the true drop is the margin or more, a failure where it is the margin or "
        f"less.\n\n**Accuracy** ({trials['accuracy']} draws a row)\n\n"
        + table(head, rows)
        + f"\n**Four slices of 250 texts, margin 4 points** ({trials['slices']} draws a row)\n\n"
        + table(
            ("true drop", *verdicts),
            ([row["lost"], *(word(row) for word in words)] for row in figures["slices"]),
        )
        + "\n**Macro-F1, margin equal to the true drop** "
        + f"({trials['macro_f1']} draws a row, {CONFIDENCE:.0%} bounds)\n\n"
        + table(
            ("texts", "rarer class", "margin", *verdicts),
            (
                [row["texts"], percent(row["rare"]), f"{100 * float(row['margin']):.2f}",
                 *(word(row) for word in words)]
                for row in figures["macro_f1"]
            ),
        )
    )  # fmt: skip


def main() -> None:
    """``gate-accuracy-errors.json`` and ``.md`` hold the rates and where they are from."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--trials", type=int, default=20_000)
    given.add_argument("--seed", type=int, default=0)
    given.add_argument("--out", type=Path, default=RESULTS)
    asked = given.parse_args()
    random = np.random.default_rng(asked.seed)
    trials = {
        "accuracy": asked.trials,
        "slices": asked.trials // 10,
        "macro_f1": asked.trials // 20,
    }
    figures = {
        "accuracy": list(accuracy(trials["accuracy"], random)),
        "slices": list(slices(trials["slices"], random)),
        "macro_f1": list(macro_f1(trials["macro_f1"], random)),
    }
    date = datetime.now(UTC).date().isoformat()
    record = {
        "script": "benchmarks/gate/accuracy_errors.py",
        "arguments": {"trials": asked.trials, "seed": asked.seed},
        "confidence": CONFIDENCE,
        "date": date,
        "edgepipe": __version__,
        "figures": figures,
    }
    text = text_of(figures, trials)
    head = f"*Simulated, the same on every machine; {date}; `{record['script']}`*\n\n"
    disk.write_json(asked.out / "gate-accuracy-errors.json", record)
    disk.write_text(asked.out / "gate-accuracy-errors.md", head + text)
    print(text)


if __name__ == "__main__":
    main()
