import math

import numpy as np
import pytest
from scipy import optimize, stats

from edgepipe.measure.statistics import (
    TWO_SIDED,
    bootstrap_drop,
    drop_bounds,
    mcnemar,
    ratio_bounds,
    ratio_estimate,
    wilson,
)


def test_wilson_equals_newcombes_published_example():
    # Newcombe 1998, Statistics in Medicine 17, 857-872, table I: 81 of 263.
    found = wilson(81, 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_mcnemar_equals_the_binomial_tail_by_hand():
    tail = sum(math.comb(14, k) for k in range(3)) / 2**14
    assert mcnemar(12, 2) == pytest.approx(2 * tail)
    assert mcnemar(2, 12) == pytest.approx(2 * tail)
    assert mcnemar(0, 0) == 1


@pytest.mark.parametrize(("b", "c", "n"), [(30, 10, 400), (3, 25, 100), (0, 4, 1000)])
def test_the_bootstrap_equals_scipys_over_the_texts(b, c, n):
    texts = np.repeat([1.0, -1.0, 0.0], [b, c, n - b - c])
    expected = stats.bootstrap(
        (texts,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    found = bootstrap_drop(b, c, n, 20_000, seed=2)
    # Both are quantiles of draws: one step of the discrete distribution is allowed.
    assert found.low == pytest.approx(expected.low, abs=1.001 / n)
    assert found.high == pytest.approx(expected.high, abs=1.001 / n)


def test_the_bootstrap_repeats_with_its_seed():
    assert bootstrap_drop(9, 4, 80, 999, seed=5) == bootstrap_drop(9, 4, 80, 999, seed=5)
    assert bootstrap_drop(9000, 4000, 80_000, 99, seed=5) != bootstrap_drop(
        9000, 4000, 80_000, 99, seed=6
    )


def yang_sun_hardin(b, c, n, z):
    """Tango's limits without iteration, as the outer roots of a quartic (Statistics in Medicine
    32, 2013, 1336-1342)."""
    g, d = z * z, b - c
    quartic = [
        n**2 * (n / g + 1) ** 2,
        -n * d * (n / g + 1) * (4 * n / g + 1),
        2 * n * d**2 * (3 * n / g + 2) / g - n**2 * ((b + c) / g + 1),
        n * d * (2 * (b + c) / g + 1) - d**3 * (4 * n / g + 1) / g,
        d**2 * (d**2 / g - (b + c)) / g,
    ]
    roots = np.roots(quartic)
    real = roots[abs(roots.imag) < 1e-7].real
    return real.min(), real.max()


@pytest.mark.parametrize(
    ("b", "c", "n"), [(12, 2, 50), (1, 7, 21), (40, 20, 160), (15, 9, 1067), (0, 3, 1000)]
)
@pytest.mark.parametrize("confidence", [0.9, 0.95, TWO_SIDED, 0.999])
def test_bounds_of_the_drop_equal_the_closed_form(b, c, n, confidence):
    found = drop_bounds(b, c, n, confidence=confidence)
    expected = yang_sun_hardin(b, c, n, stats.norm.ppf(confidence))
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-7)


def test_bounds_of_the_drop_equal_a_published_interval():
    # Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33: airway hyper-responsiveness
    # in 21 children, b = 1 and c = 7, Tango's interval -0.517 to -0.026.
    found = drop_bounds(1, 7, 21, confidence=TWO_SIDED)
    assert (found.low, found.high) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize(("b", "c", "n"), [(12, 2, 50), (6, 6, 40), (0, 5, 60), (3, 0, 30)])
def test_at_a_bound_the_score_under_the_likeliest_nuisance_is_z(b, c, n):
    """The same likelihood, maximised numerically in place of the closed form."""

    def score(drop):
        def unlikely(q):
            return -(
                (b * math.log(q + drop) if b else 0)
                + (c * math.log(q) if c else 0)
                + (n - b - c) * math.log(1 - 2 * q - drop)
            )

        span = (max(0.0, -drop) + 1e-12, (1 - drop) / 2 - 1e-12)
        q = optimize.minimize_scalar(
            unlikely, bounds=span, method="bounded", options={"xatol": 1e-12}
        ).x
        return (b - c - n * drop) / math.sqrt(n * (2 * q + drop * (1 - drop)))

    found = drop_bounds(b, c, n, confidence=0.95)
    assert score(found.high) == pytest.approx(-stats.norm.ppf(0.95), abs=1e-3)
    assert score(found.low) == pytest.approx(stats.norm.ppf(0.95), abs=1e-3)


def test_without_disagreement_the_bounds_still_have_a_width():
    # By hand: with b = c = 0 the score is -sqrt(n d / (1 - d)), so d = z^2 / (n + z^2).
    z = stats.norm.ppf(0.95)
    found = drop_bounds(0, 0, 100, confidence=0.95)
    assert found.high == pytest.approx(z**2 / (100 + z**2))
    assert found.low == pytest.approx(-found.high)


def test_a_drop_of_everything_is_bounded_by_one():
    assert drop_bounds(10, 0, 10, confidence=0.95).high == 1
    assert drop_bounds(0, 10, 10, confidence=0.95).low == -1


@pytest.mark.parametrize("confidence", [0.0, 0.5, 1.0])
def test_a_confidence_that_is_none_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence"):
        drop_bounds(1, 1, 10, confidence=confidence)
    with pytest.raises(ValueError, match="confidence"):
        ratio_bounds([[0.0], [0.0]], confidence=confidence)


@pytest.mark.parametrize("counts", [(6, 5, 10), (-1, 0, 10)])
def test_counts_that_do_not_fit_are_refused(counts):
    with pytest.raises(ValueError, match="do not fit"):
        drop_bounds(*counts, confidence=0.95)


def test_bounds_of_a_ratio_are_students_over_processes():
    blocks = [[math.log(r)] * 5 for r in (2.0, 2.1, 1.9, 2.05)]
    means = [math.log(r) for r in (2.0, 2.1, 1.9, 2.05)]
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    found = ratio_bounds(blocks, confidence=TWO_SIDED)
    assert (found.low, found.high) == pytest.approx(
        (math.exp(expected.low), math.exp(expected.high))
    )


def test_one_wild_block_of_a_process_moves_nothing():
    calm = [[0.7, 0.69, 0.71, 0.70, 0.70, 0.705]] * 3
    wild = [[0.7, 0.69, 9.99, 0.70, 0.70, 0.705]] * 3
    assert ratio_estimate(wild)[0] == pytest.approx(ratio_estimate(calm)[0], abs=0.005)


def test_the_error_is_that_of_the_processes():
    # By hand: means 0.1 and 0.3, so sqrt(((0.1)^2 + (0.1)^2) / 1 / 2) = 0.1.
    assert ratio_estimate([[0.1], [0.3]]) == pytest.approx((0.2, 0.1))
    assert ratio_estimate([[0.0, 0.1, 0.2], [0.2, 0.3, 0.4]]) == pytest.approx((0.2, 0.1))


def test_one_process_round_tells_no_error():
    with pytest.raises(ValueError, match="two process rounds"):
        ratio_estimate([[0.1, 0.2]])


def test_the_bounds_cover_what_they_promise():
    """Process-to-process and block-to-block noise of 1 % each, four processes, twelve blocks."""
    random = np.random.default_rng(0)
    missed = 0
    for _ in range(1000):
        blocks = random.normal(0, 0.01, (4, 1)) + random.normal(0, 0.01, (4, 12))
        missed += ratio_bounds(blocks.tolist(), confidence=0.95).low > 1
    # 5 % in truth; the binomial spread of 1000 trials is 0.7 %.
    assert 0.03 < missed / 1000 < 0.07
