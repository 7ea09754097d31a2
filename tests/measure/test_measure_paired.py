from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from edgepipe.measure import paired
from edgepipe.measure.paired import Counts, counts, macro_f1_drop, slice_figures
from edgepipe.measure.records import SliceBy, packed
from edgepipe.measure.statistics import TWO_SIDED, drop_bounds

Column = np.ndarray


def answers(texts: int, labels: int, seed: int, loss: float = 0.1) -> tuple[Column, Column, Column]:
    """Truth, a reference that is right on nine texts of ten, a candidate that loses some more."""
    random = np.random.default_rng(seed)
    truth = random.choice(labels, texts, p=np.arange(1, labels + 1) / sum(range(labels + 1)))
    old = np.where(random.random(texts) < 0.9, truth, random.integers(0, labels, texts))
    new = np.where(random.random(texts) < 1 - loss, old, random.integers(0, labels, texts))
    return truth, old, new


def lost(truth: Column, old: Column, new: Column) -> float:
    return float(f1_score(truth, old, average="macro") - f1_score(truth, new, average="macro"))


def test_counts_by_hand() -> None:
    truth = np.array([0, 0, 1, 1, 2, 2])
    old = np.array([0, 0, 1, 0, 1, 1])
    new = np.array([0, 1, 0, 1, 1, 0])
    found = counts(truth, old, new)
    assert found == Counts(reference_only=2, candidate_only=1, examples=6, alike=2)
    assert (found.drop, found.flips) == (pytest.approx(1 / 6), 3)
    assert counts(truth[:0], old[:0], new[:0]).drop == 0


@pytest.mark.parametrize("labels", [2, 3, 6])
def test_the_drop_of_macro_f1_is_scikit_learns(labels: int) -> None:
    truth, old, new = answers(200, labels, seed=labels)
    found = macro_f1_drop(truth, old, new, labels, resamples=99, seed=0)
    assert found.value == pytest.approx(lost(truth, old, new), abs=1e-12)


def test_a_label_that_nobody_uses_does_not_count() -> None:
    truth, old, new = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]), np.array([0, 2, 1, 0])
    found = macro_f1_drop(truth, old, new, 5, resamples=99, seed=0)
    assert found.value == pytest.approx(lost(truth, old, new), abs=1e-12)


def test_its_bounds_are_scipys_over_the_texts() -> None:
    truth, old, new = answers(150, 3, seed=1, loss=0.25)
    expected = stats.bootstrap(
        (truth, old, new), lost, paired=True, vectorized=False, method="BCa", n_resamples=499,
        confidence_level=0.9, rng=np.random.default_rng(2),
    )  # fmt: skip
    found = macro_f1_drop(truth, old, new, 3, resamples=20_000, seed=3).bounds(0.95)
    # A quantile at 5 % of 499 draws has a standard error of 0.1 standard deviations: three of them.
    apart = 3 * 0.1 * expected.standard_error
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=apart)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=apart)


def test_many_labels_are_scikit_learns_too() -> None:
    truth, old, new = answers(1000, 150, seed=6, loss=0.3)
    found = macro_f1_drop(truth, old, new, 150, resamples=99, seed=0)
    assert found.value == pytest.approx(lost(truth, old, new), abs=1e-12)


def test_what_a_text_adds_is_what_is_lost_without_it() -> None:
    truth, old, new = answers(60, 12, seed=7, loss=0.4)
    tally = paired._Tally.of(truth, old, new, 12)
    without = [lost(*(np.delete(column, n) for column in (truth, old, new))) for n in range(60)]
    assert -tally.influence(7)[tally.cell] == pytest.approx(without, abs=1e-12)


@pytest.mark.parametrize("dear", [0, 10**6], ids=["cells", "texts"])
def test_cells_are_drawn_as_texts_would_be(dear: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their sizes or text by text: a multinomial's means, variances and covariance."""
    monkeypatch.setattr(paired, "_DEAR", dear)
    tally = paired._Tally.of(*answers(100, 2, seed=8), 2)
    sizes = tally.drawn(np.random.default_rng(9), 20_000)
    assert (sizes.sum(axis=1) == 100).all()
    expected = stats.multinomial(100, tally.sizes / 100)
    assert sizes.mean(axis=0) == pytest.approx(tally.sizes, abs=0.2)
    assert np.cov(sizes.T) == pytest.approx(expected.cov(), abs=0.5)


def test_without_a_flip_a_small_test_set_still_excludes_nothing() -> None:
    # By hand: 5 texts of the rarer of two classes, so 2.706 / (5 + 2.706) / 2 = 0.1756.
    truth = np.array([0] * 45 + [1] * 5)
    found = macro_f1_drop(truth, truth, truth, 2, resamples=99, seed=0)
    assert found.value == 0
    assert found.bounds(0.95).high == pytest.approx(0.1756, abs=1e-4)
    assert found.bounds(0.95).low == pytest.approx(-0.1756, abs=1e-4)


def test_the_same_seed_gives_the_same_bounds_and_memory_is_no_part_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns = answers(80, 3, seed=4)

    def found(seed: int) -> tuple[float, ...]:
        return macro_f1_drop(*columns, 3, resamples=200, seed=seed).quantiles

    whole = found(5)
    assert whole != found(6)
    monkeypatch.setattr("edgepipe.measure.paired._CHUNK", 100)
    assert found(5) == whole


def test_slices_by_hand() -> None:
    truth, old = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 0])
    new = np.array([0, 1, 0, 0, 0])
    cut = SliceBy(by="length", names=("short", "long", "endless"), parts=packed([0, 0, 0, 1, 1]))
    short, long, endless = slice_figures(cut, truth, old, new)
    assert (short.name, short.examples) == ("short", 3)
    assert (short.reference_only, short.candidate_only, short.drop) == (1, 1, 0)
    assert (short.reference_accuracy, short.candidate_accuracy) == pytest.approx((2 / 3, 2 / 3))
    assert short.score == drop_bounds(1, 1, 3, confidence=TWO_SIDED)
    assert (long.reference_only, long.candidate_only, long.drop) == (1, 0, 0.5)
    assert (endless.examples, endless.reference_accuracy, endless.drop) == (0, 0, 0)
    assert (endless.score.low, endless.score.high) == (-1, 1)
