import numpy as np
import pytest
from scipy import stats

from edgepipe.measure.power import FLIP_RATES, for_agreement, for_drop


def test_examples_by_the_formula_of_the_normal_distribution():
    z = stats.norm.ppf(0.95) + stats.norm.ppf(0.9)
    assert z**2 == pytest.approx(8.56, abs=0.005)
    found = dict(zip(FLIP_RATES, for_drop(0.01, confidence=0.95), strict=True))
    for rate in FLIP_RATES:
        assert found[rate] == np.ceil(z**2 * rate / 0.01**2)


def test_no_number_of_examples_proves_that_nothing_is_lost():
    assert for_drop(0.0, confidence=0.95) == (None,) * 5


def test_agreement_by_hand():
    """90 % wanted, 95 % true: ((1.6449 * 0.3 + 1.2816 * 0.2179) / 0.05)² = 239 texts."""
    found = dict(zip(FLIP_RATES, for_agreement(0.9, confidence=0.95), strict=True))
    assert found[0.05] == 239
    assert found[0.1] is None
    assert found[0.2] is None
    assert found[0.01] < found[0.02] < found[0.05]


@pytest.mark.parametrize(("rate", "least"), [(0.05, 0.9), (0.02, 0.95), (0.1, 0.85)])
def test_so_many_texts_show_an_agreement_nine_times_in_ten(rate, least):
    """Simulated: scipy's lower Wilson bound lies over the limit."""
    texts = for_agreement(least, confidence=0.95)[FLIP_RATES.index(rate)]
    alike = np.random.default_rng(0).binomial(texts, 1 - rate, 4000)
    shown = [
        stats.binomtest(int(k), texts).proportion_ci(0.9, method="wilson").low >= least
        for k in alike
    ]
    assert np.mean(shown) == pytest.approx(0.9, abs=0.03)
