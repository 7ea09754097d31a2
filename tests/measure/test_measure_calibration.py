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


def test_replicates_are_errors_of_texts_drawn_anew(monkeypatch):
    """Each against the plain function over the drawn texts, in whatever chunks."""
    from edgepipe.measure import calibration as module

    seen = []
    monkeypatch.setattr(module, "bca", lambda value, drawn, influence: seen.append(drawn))
    monkeypatch.setattr(module, "_CHUNK", 1000)
    old, new = sides(1, 0.1, texts=300)
    calibration_increase(old, new, resamples=10, seed=3)
    random = np.random.default_rng(3)
    for replicate in seen[0]:
        again = random.integers(0, 300, 300)
        a, b = (calibration(side[0][again], side[1][again]).ece for side in (new, old))
        assert replicate == pytest.approx(a - b)
    assert len(seen[0]) == 10


def test_influence_is_what_one_more_of_a_text_adds(monkeypatch):
    from edgepipe.measure import calibration as module

    seen = []
    monkeypatch.setattr(module, "bca", lambda value, drawn, influence: seen.append(influence))
    old, new = sides(2, 0.1, texts=500)
    calibration_increase(old, new, resamples=1, seed=0)
    whole = calibration(*new).ece - calibration(*old).ece

    def left_out(text):
        keep = np.arange(500) != text
        a, b = (calibration(side[0][keep], side[1][keep]).ece for side in (new, old))
        return (500 - 1) * (whole - (a - b)) + whole

    expected = [left_out(text) for text in range(0, 500, 25)]
    assert seen[0][::25] == pytest.approx(expected, abs=1e-9)


def test_a_model_is_as_calibrated_as_itself():
    old, _ = sides(0, 0)
    found = calibration_increase(old, old, resamples=99, seed=0)
    assert found.value == 0
    assert set(found.quantiles) == {0}


def test_the_bounds_hold_as_often_as_they_say():
    """Over 200 test sets from one population: the upper 90 % bound lies over the truth in 80 %."""
    truth = calibration_increase(*sides(99, 0.1, texts=400_000), resamples=1, seed=0).value
    over = [
        calibration_increase(*sides(seed, 0.1), resamples=199, seed=0).bounds(0.9).high > truth
        for seed in range(200)
    ]
    assert np.mean(over) > 0.8
