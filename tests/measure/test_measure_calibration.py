import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from edgepipe.measure.calibration import BINS, calibration, calibration_increase


def test_the_error_by_hand():
    """Ranges are 1/15 wide: 0.90 and 0.92 share the 14th, 0.99 is alone in the 15th."""
    confidence = np.array([0.90, 0.92, 0.99, 0.61])
    found = calibration(confidence, np.array([True, False, True, False]))
    gaps = [2 * (0.91 - 0.5), 1 * (1 - 0.99), 1 * (0.61 - 0)]
    assert found.ece == pytest.approx(sum(gaps) / 4)
    assert [n for n, b in enumerate(found.bins) if b.count] == [9, 13, 14]
    assert (found.bins[13].count, found.bins[13].accuracy) == (2, 0.5)
    assert found.bins[13].confidence == pytest.approx(0.91)
    assert (found.bins[0].confidence, found.bins[0].accuracy) == (0, 0)


def test_ranges_are_closed_above():
    found = calibration(np.array([14 / 15, 1.0]), np.array([True, True]))
    assert [n for n, b in enumerate(found.bins) if b.count] == [13, 14]


def test_the_ranges_are_scikit_learns():
    random = np.random.default_rng(0)
    confidence = random.uniform(1 / 3, 1, 2000)
    correct = random.random(2000) < confidence**2
    accuracy, mean = calibration_curve(correct, confidence, n_bins=BINS)
    found = calibration(confidence, correct)
    some = [b for b in found.bins if b.count]
    assert [b.accuracy for b in some] == pytest.approx(accuracy.tolist())
    assert [b.confidence for b in some] == pytest.approx(mean.tolist())
    weights = np.array([b.count for b in some]) / 2000
    assert found.ece == pytest.approx(float(weights @ np.abs(accuracy - mean)))


def sides(seed, overconfidence, texts=400):
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.5, 1, texts)
    right = random.random(texts) < confidence
    surer = np.minimum(1, confidence + overconfidence)
    return (confidence, right), (surer, right)


def test_the_increase_is_the_difference_of_two_errors():
    old, new = sides(0, 0.1)
    found = calibration_increase(old, new, resamples=999, seed=0)
    assert found.value == pytest.approx(calibration(*new).ece - calibration(*old).ece)
    bounds = found.bounds(0.975)
    assert bounds.low < found.value < bounds.high
    assert found == calibration_increase(old, new, resamples=999, seed=0)
    assert found != calibration_increase(old, new, resamples=999, seed=1)


def test_a_model_is_as_calibrated_as_itself():
    old, _ = sides(0, 0)
    found = calibration_increase(old, old, resamples=99, seed=0)
    assert found.value == 0
    assert set(found.quantiles) == {0}


def test_the_bounds_reach_as_far_as_chance_does():
    """By hand: 100 texts at 0.9, of which 90 are right once and all of them the other time.

    A text adds 0.3 to the spread of the sum over 100, and a folded normal has its mean at 0.8 of
    its spread.
    """
    confidence, perfect, all_right = np.full(100, 0.9), np.arange(100) < 90, np.ones(100, bool)
    error = 0.3 / np.sqrt(100)
    reach = 1.645 * error + np.sqrt(2 / np.pi) * error
    sides = (confidence, perfect), (confidence, all_right)
    worse = calibration_increase(*sides, resamples=9999, seed=0)
    assert worse.value == pytest.approx(0.1)
    assert worse.bounds(0.95).high == pytest.approx(0.1 + reach, abs=0.015)
    better = calibration_increase(*sides[::-1], resamples=9999, seed=0)
    assert better.bounds(0.95).low == pytest.approx(-0.1 - reach, abs=0.015)


def test_chance_cannot_set_models_further_apart_than_they_are():
    """One text of 400 is answered a little surer: at most that much may have been hidden."""
    old, _ = sides(4, 0)
    confidence = old[0].copy()
    confidence[7] += 0.001
    bounds = calibration_increase(old, (confidence, old[1]), resamples=999, seed=0).bounds(0.999)
    assert -1e-4 < bounds.low <= bounds.high < 1e-4


@pytest.mark.parametrize(("before", "after"), [(0, 0.02), (0, 0.1), (0.05, 0.1), (0.05, 0)])
def test_the_bounds_hold_as_often_as_they_say(before, after):
    """Of 300 test sets each 95 % bound may miss 15; chance alone makes it 25 once in 100 times."""
    random = np.random.default_rng(3)

    def both(texts):
        honest = 0.5 + 0.5 * random.beta(4, 1, texts)
        right = random.random(texts) < honest
        return tuple((np.minimum(1, honest + more), right) for more in (before, after))

    many = [calibration(*side).ece for side in both(500_000)]
    truth = many[1] - many[0]
    found = [
        calibration_increase(*both(500), resamples=199, seed=seed).bounds(0.95)
        for seed in range(300)
    ]
    assert sum(bounds.high < truth for bounds in found) < 25
    assert sum(bounds.low > truth for bounds in found) < 25
