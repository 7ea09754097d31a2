import math
import tracemalloc

import numpy as np
import pytest
from scipy import optimize, stats

from edgepipe.measure.statistics import (
    TWO_SIDED,
    detectable_drop,
    drop_bounds,
    mcnemar,
    needed_examples,
    percentile_bound,
    percentile_needs,
    percentile_rank,
    ratio_bounds,
    ratio_estimate,
    ratio_of_ratios_bounds,
    student_quantile,
    unseen_share,
    wilson,
)


def test_wilson_equals_newcombes_published_example():
    # Newcombe 1998, Statistics in Medicine 17, 857-872, table I: 81 of 263.
    found = wilson(81, 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize(("count", "total"), [(0, 7), (7, 7), (3, 10), (960, 1000), (1, 90_000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_wilson_equals_scipy(count, total, confidence):
    level = 2 * confidence - 1
    expected = stats.binomtest(count, total).proportion_ci(level, method="wilson")
    found = wilson(count, total, confidence=confidence)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_of_nothing_every_proportion_is_possible():
    found = wilson(0, 0)
    assert (found.low, found.high) == (0, 1)


@pytest.mark.parametrize(
    ("b", "c"), [(5, 5), (7, 6), (0, 3), (1, 30), (900, 1000), (40_000, 41_000)]
)
def test_mcnemar_equals_scipys_exact_test(b, c):
    assert mcnemar(b, c) == pytest.approx(stats.binomtest(b, b + c, 0.5).pvalue, rel=1e-8)


def test_mcnemar_equals_the_binomial_tail_by_hand():
    tail = sum(math.comb(14, k) for k in range(3)) / 2**14
    assert mcnemar(12, 2) == pytest.approx(2 * tail)
    assert mcnemar(2, 12) == pytest.approx(2 * tail)
    assert mcnemar(0, 0) == 1


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


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.975, 0.999])
@pytest.mark.parametrize("total", [1, 20, 100, 5000])
def test_without_disagreement_the_bounds_are_exact_or_wider(total, confidence):
    """Clopper and Pearson's at no event; by hand the score is -sqrt(n d / (1 - d))."""
    z = stats.norm.ppf(confidence)
    score, exact = z**2 / (total + z**2), stats.beta.ppf(confidence, 1, total)
    found = drop_bounds(0, 0, total, confidence=confidence)
    assert found.high == pytest.approx(max(score, exact), rel=1e-6)
    assert found.low == -found.high
    assert stats.binom.pmf(0, total, found.high) <= (1 - confidence) * (1 + 1e-6)
    assert unseen_share(total, confidence=confidence) == pytest.approx(exact)


@pytest.mark.parametrize("total", [100, 250, 1000, 10_000])
def test_bounds_are_no_bolder_than_they_say_where_one_model_never_gains(total):
    bounds = {b: drop_bounds(b, 0, total, confidence=0.95) for b in range(1, 50)}
    low = max(
        stats.binom.sf(b - 1, total, found.low) for b, found in bounds.items() if found.low > 0
    )
    high = max(stats.binom.cdf(b, total, found.high) for b, found in bounds.items())
    assert 0.094 < low < 0.095
    assert 0.062 < high < 0.065


def test_without_flips_as_many_texts_are_needed_as_the_exact_bound_takes():
    """Also where the power asked for is low, and the score's number would not do."""
    needed = needed_examples(0.0, 0.01, power=0.5)
    assert drop_bounds(0, 0, needed, confidence=0.95).high <= 0.01
    assert drop_bounds(0, 0, needed - 1, confidence=0.95).high > 0.01
    assert needed_examples(0.0, 1.0) == 9  # 8.56, as ever


@pytest.mark.parametrize("percentile", [90, 99])
@pytest.mark.parametrize("total", [1, 64, 1000, 4096, 10**6, 10**8])
def test_the_rank_of_a_low_bound_is_the_binomial_quantile(total, percentile):
    expected = stats.binom.ppf(0.99, total, 1 - percentile / 100) + 1
    assert percentile_rank(total, percentile) == expected


def test_the_rank_among_many_takes_little_memory():
    tracemalloc.start()
    percentile_rank(10**8 - 1, 90)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_drop_of_everything_is_bounded_by_one():
    assert drop_bounds(10, 0, 10, confidence=0.95).high == 1
    assert drop_bounds(0, 10, 10, confidence=0.95).low == -1


def test_without_texts_every_drop_is_possible():
    found = drop_bounds(0, 0, 0, confidence=0.95)
    assert (found.low, found.high) == (-1, 1)


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


@pytest.mark.parametrize("blocks", [[3.0], [1.0, 9.0], [5, 1, 2, 4, 3], list(range(20, 3, -1))])
def test_a_process_counts_by_its_trimmed_mean(blocks):
    other = [value + 1.0 for value in blocks]
    means = [stats.trim_mean(blocks, 0.2), stats.trim_mean(other, 0.2)]
    assert ratio_estimate([blocks, other]) == pytest.approx((np.mean(means), stats.sem(means)))


@pytest.mark.parametrize("degrees", [1, 1.05, 1.5, 2, 2.7, 3, 9, 41.5, 300])
@pytest.mark.parametrize("confidence", [0.6, 0.9, 0.95, 0.999])
def test_students_quantile_equals_scipys(degrees, confidence):
    expected = stats.t.ppf(confidence, degrees)
    assert student_quantile(confidence, degrees) == pytest.approx(expected, rel=1e-6)


def test_a_ratio_of_ratios_is_welchs_test_of_the_processes():
    new, old = [0.71, 0.69, 0.70, 0.74], [0.66, 0.61, 0.70]
    expected = stats.ttest_ind(new, old, equal_var=False).confidence_interval(0.9)
    found = ratio_of_ratios_bounds([[n] for n in new], [[o] for o in old], confidence=0.95)
    assert (math.log(found.low), math.log(found.high)) == pytest.approx(
        (expected.low, expected.high), rel=1e-6
    )


def test_a_ratio_of_ratios_without_any_spread_is_a_point():
    found = ratio_of_ratios_bounds([[0.7]] * 3, [[0.2]] * 3, confidence=0.95)
    assert (found.low, found.high) == pytest.approx((math.exp(0.5), math.exp(0.5)))


def test_two_runs_of_the_same_rarely_differ():
    """Every process with its own layout: 2 % apart; the bounds of no change miss 5 % each."""
    random = np.random.default_rng(1)
    missed = 0
    for _ in range(1000):
        new, old = random.normal(0, 0.02, (4, 1)), random.normal(0, 0.01, (5, 1))
        missed += ratio_of_ratios_bounds(new.tolist(), old.tolist(), confidence=0.95).high < 1
    assert 0.03 < missed / 1000 < 0.07  # the binomial spread is 0.7 %


def test_the_issues_own_figure_of_power():
    # n = 8.56 x flip rate / margin^2: (1.6449 + 1.2816)^2 = 8.564.
    assert needed_examples(0.05, 0.01) == math.ceil(8.5638 * 0.05 / 0.01**2) == 4282
    assert detectable_drop(50, 1000) == pytest.approx(math.sqrt(8.5638 * 0.05 / 1000), rel=1e-4)
    assert detectable_drop(50, 1000, confidence=0.99, power=0.8) == pytest.approx(
        (2.3263 + 0.8416) * math.sqrt(0.05 / 1000), rel=1e-4
    )


def test_one_is_the_inverse_of_the_other():
    assert needed_examples(0.04, detectable_drop(40, 1000) + 1e-12) == 1000


@pytest.mark.parametrize(("flips", "examples", "drop"), [(0, 1000, 0.00856), (0, 5, 1), (0, 0, 1)])
def test_without_flips_a_drop_is_still_not_excluded(flips, examples, drop):
    assert detectable_drop(flips, examples) == pytest.approx(drop, rel=1e-3)


@pytest.mark.parametrize(("rate", "margin"), [(0.06, 0.02), (0.02, 0.01), (0.001, 0.01)])
def test_so_many_examples_decide_nine_times_in_ten(rate, margin):
    """Nothing is lost, either flip is as likely: then the upper bound clears the margin."""
    total = needed_examples(rate, margin)
    random = np.random.default_rng(2)
    drawn = random.multinomial(total, [rate / 2, rate / 2, 1 - rate], 1000)
    passed = [
        drop_bounds(b, c, total, confidence=0.95).high <= margin for b, c, _ in drawn.tolist()
    ]
    assert np.mean(passed) > 0.85


def test_no_number_of_texts_proves_that_nothing_is_lost():
    with pytest.raises(ValueError, match="margin has to be positive"):
        needed_examples(0.1, 0)


def test_percentiles_need_what_loadgen_says():
    # MLPerf inference rules, "early stopping": 64 queries for 90 %, 662 for 99 % (single stream).
    assert (percentile_needs(90), percentile_needs(99)) == (64, 662)
    values = np.arange(1.0, 1001)
    assert percentile_bound(values[:63], 90) is None
    assert percentile_bound(values[:661], 99) is None
    assert percentile_bound(values[:662], 99) == 662  # early_stopping.cc: nothing to discard yet


@pytest.mark.parametrize("total", [64, 100, 662, 1500, 9000])
@pytest.mark.parametrize("percentile", [90, 99])
def test_the_order_statistic_is_early_stoppings(total, percentile):
    """As results.cc finds it: the last t for which the queries suffice, t - 1 discarded."""
    values = np.random.default_rng(3).permutation(total).astype(float)
    enough = [t for t in range(1, total) if stats.binom.cdf(t, total, 1 - percentile / 100) < 0.01]
    expected = sorted(values)[total - max(enough)] if enough else None
    assert percentile_bound(values, percentile) == expected


def test_both_bounds_of_a_percentile_hold_99_times_in_100():
    random, true = np.random.default_rng(4), -math.log(0.1)
    over = under = 0
    for _ in range(2000):
        values = np.sort(random.exponential(size=300))
        over += percentile_bound(values, 90) < true
        under += values[-percentile_rank(300, 90)] > true
    assert over <= 30  # 20 expected at most; so many more once in a hundred
    assert under <= 30
    assert under > 2


def test_a_low_bound_of_too_few_values_is_beyond_them():
    assert percentile_rank(1, 90) == 2
    assert percentile_rank(0, 90) == 1
