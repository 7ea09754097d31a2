from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from edgepipe.measure.records import PROBABILITIES
from edgepipe.measure.resample import bca, mean_estimate

SKEWED = np.random.default_rng(0).exponential(size=60)


@pytest.mark.parametrize(("level", "apart"), [(0.8, 0.15), (0.95, 0.2), (0.99, 0.4)])
def test_the_mean_has_scipys_bca_bounds(level: float, apart: float) -> None:
    expected = stats.bootstrap(
        (SKEWED,), np.mean, n_resamples=20_000, confidence_level=level, method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    found = mean_estimate(SKEWED, resamples=20_000, seed=2).bounds((1 + level) / 2)
    # Independent draws, whose quantiles lie about a quarter of this apart.
    assert found.low == pytest.approx(expected.low, abs=apart * stats.sem(SKEWED))
    assert found.high == pytest.approx(expected.high, abs=apart * stats.sem(SKEWED))


def test_from_the_same_replicates_the_bounds_are_exactly_scipys() -> None:
    """Spearman's correlation over texts, by jackknife, on the replicates that scipy drew."""
    random = np.random.default_rng(5)
    x = random.normal(size=40)
    y = x + random.normal(size=40)

    def figure(x: np.ndarray, y: np.ndarray) -> float:
        return float(stats.spearmanr(x, y).statistic)

    drawn = stats.bootstrap(
        (x, y), figure, paired=True, vectorized=False, n_resamples=999, method="BCa",
        confidence_level=0.9, rng=np.random.default_rng(6),
    )  # fmt: skip
    without = np.array([figure(np.delete(x, i), np.delete(y, i)) for i in range(40)])
    found = bca(figure(x, y), drawn.bootstrap_distribution, without.mean() - without)
    assert (found.bounds(0.95).low, found.bounds(0.95).high) == pytest.approx(
        (drawn.confidence_interval.low, drawn.confidence_interval.high), abs=1e-9
    )


def test_weights_stand_for_repeated_influence() -> None:
    drawn = np.random.default_rng(7).normal(size=500)
    values = np.array([-1.0, 0.0, 5.0])
    weights = np.array([7, 3, 2])
    assert bca(0.1, drawn, values, weights) == bca(0.1, drawn, np.repeat(values, weights))
    assert bca(0.1, drawn, values, weights) != bca(0.1, drawn, values)


def test_influence_may_be_scaled_and_shifted() -> None:
    drawn = np.random.default_rng(7).normal(size=500)
    once = bca(0.1, drawn, SKEWED)
    assert bca(0.1, drawn, 3 * SKEWED + 9).quantiles == pytest.approx(once.quantiles)


def test_the_same_seed_gives_the_same_bounds() -> None:
    def found(seed: int) -> tuple[float, ...]:
        return mean_estimate(SKEWED, resamples=499, seed=seed).quantiles

    assert found(1) == found(1)
    assert found(1) != found(2)


def test_chunks_of_memory_are_no_part_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mean_estimate(SKEWED, resamples=300, seed=1)
    monkeypatch.setattr("edgepipe.measure.resample._CHUNK", 60 * 7)
    assert mean_estimate(SKEWED, resamples=300, seed=1) == whole


@pytest.mark.parametrize("values", [[0.25], [0.25] * 30])
def test_values_that_are_all_the_same_give_a_point(values: list[float]) -> None:
    found = mean_estimate(values, resamples=200, seed=0)
    assert found.value == 0.25
    assert found.quantiles == (0.25,) * len(PROBABILITIES)


@pytest.mark.parametrize(
    "case",
    [
        (0.0, np.arange(1.0, 100)),  # every replicate above the figure
        (200.0, np.arange(1.0, 100)),  # every one below
        (50.0, np.repeat([49.0, 50.0, 51.0], [1, 97, 1])),
    ],
    ids=["below", "above", "tied"],
)
@pytest.mark.parametrize("skew", [[0.0, 0.0], [0.0] * 99 + [1.0], [1.0] * 99 + [0.0]])
def test_wild_figures_still_give_rising_bounds(
    case: tuple[float, np.ndarray], skew: list[float]
) -> None:
    value, drawn = case
    found = bca(value, drawn, skew)
    assert list(found.quantiles) == sorted(found.quantiles)
    assert drawn.min() <= found.quantiles[0] <= found.quantiles[-1] <= drawn.max()


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        bca(float("nan"), np.array([1.0, 2.0]), [1.0])
    with pytest.raises(ValueError, match="not finite"):
        mean_estimate([1.0, float("inf")], resamples=9, seed=0)


def test_the_bounds_cover_the_mean_of_a_skewed_figure() -> None:
    """Like a divergence: most texts near 0, a few far. BCa's upper bound misses 5 to 8 %."""
    random = np.random.default_rng(8)
    missed = sum(
        mean_estimate(random.exponential(size=150), resamples=499, seed=n).bounds(0.95).high < 1
        for n in range(400)
    )
    assert 0.02 < missed / 400 < 0.1
