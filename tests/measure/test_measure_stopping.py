import math

import numpy as np
import pytest
from scipy import stats

from edgepipe.measure.records import Interval
from edgepipe.measure.stopping import (
    Limit,
    at_the_limit,
    bias,
    coarse,
    decided,
    hidden,
    reach,
    tolerable,
)

FIVE = Limit("c", 1 / 1.05, 0.95)


def rounds(*ratios: float) -> list[list[float]]:
    return [[math.log(ratio)] * 3 for ratio in ratios]


def spread(mean: float, sd: float, count: int = 4) -> list[list[float]]:
    """Rounds with exactly that mean and standard deviation."""
    shape = np.linspace(-1, 1, count)
    shape = shape / shape.std(ddof=1)
    return [[value] * 3 for value in (mean + sd * shape).tolist()]


@pytest.mark.parametrize("side", [1, -1])
def test_a_look_asks_for_a_fifth_of_the_error(side):
    """Decided just inside Student's 99 % bound for a gate at 95 %, on either side of the limit."""
    log_limit = math.log(FIVE.min_ratio)
    far = float(stats.t.ppf(0.99, 3)) * 0.01 / 2  # four rounds: the error is sd / 2
    assert decided(spread(log_limit + side * far * 1.001, 0.01), FIVE)
    assert not decided(spread(log_limit + side * far * 0.999, 0.01), FIVE)


def test_at_the_limit_when_known_to_a_quarter_of_what_it_allows():
    """At 95 %, not at the stricter level of a look."""
    wanted = math.log(1.05) / 4
    sd = wanted / float(stats.t.ppf(0.95, 3)) * 2
    assert at_the_limit(spread(0.0, sd * 0.999), FIVE, 0.02)
    assert not at_the_limit(spread(0.0, sd * 1.001), FIVE, 0.02)


@pytest.mark.parametrize(("limit", "wanted"), [(3.0, 0.02), (1.0, 0.002), (1.001, 0.002)])
def test_how_well_a_ratio_is_known_at_most_and_at_least(limit, wanted):
    sd = wanted / float(stats.t.ppf(0.95, 3)) * 2
    asked = Limit("c", limit, 0.95)
    assert at_the_limit(spread(0.3, sd * 0.999), asked, 0.02)
    assert not at_the_limit(spread(0.3, sd * 1.001), asked, 0.02)


def test_the_reach_of_an_interval_is_relative():
    assert reach(Interval(low=0.5, high=2.0)) == pytest.approx(math.log(2))


def test_a_reference_that_provably_differs_from_itself_is_a_doubt():
    assert "1.050 times as fast on batches" in bias(rounds(1.05, 1.051, 1.049), "batches")
    assert "0.950 times" in bias(rounds(0.95, 0.951, 0.949), "single texts")
    assert bias(rounds(1.0, 1.01, 0.99), "single texts") == ""
    assert bias(rounds(0.9, 1.25, 1.1), "single texts") == ""  # noisy, and no proof of anything
    assert bias(rounds(1.019, 1.02, 1.018), "single texts") == ""  # proven, and too little


@pytest.mark.parametrize(
    ("limit", "ratio", "most"),
    [
        (2.0, 2.0, 0.02),
        (1 / 1.05, 1.0, 0.02),
        (math.exp(0.02), math.exp(0.01), 0.01),
        (math.exp(-0.02), 1.0, 0.01),
        (1.0, math.exp(0.01), 0.005),
        (1.0, 8.0, 0.02),
        (1.0, 1.0, 0.002),
    ],
)
def test_the_sentinel_is_held_to_what_the_gate_allows(limit, ratio, most):
    assert tolerable(limit, ratio) == pytest.approx(most)
    assert bias(rounds(*[math.exp(most * 1.02)] * 3), "single texts", most) != ""
    assert bias(rounds(*[math.exp(most * 0.9)] * 3), "single texts", most) == ""


def test_time_that_the_cpu_clock_does_not_see_is_a_doubt_in_every_round_only():
    assert "c: a call takes 1.30 times its CPU time" in hidden([1.3, 1.3], [1.0, 1.0], "c")
    assert hidden([1.3, 1.2], [1.0, 1.0], "c") == ""
    assert hidden([2.6, 2.6], [2.2, 2.2], "c") == ""  # busy cores stretch both
    assert hidden([1.0, 1.0], [2.0, 2.0], "c") == ""


def test_a_clock_of_few_different_times_is_coarse():
    ticks = np.repeat([1e7, 2e7], 300)
    assert "only 2 different times in 600 calls" in coarse(ticks, "c")
    assert coarse(np.arange(600.0), "c") == ""
    assert coarse(np.array([1e7, 1e7, 2e7, 3e7]), "c") == ""  # too few calls to say


def verdict(values: list[float]) -> tuple[str, int]:
    """A gate with rounds of these means: its verdict at 95 %, and how many it looked at."""
    for count in range(4, len(values) + 1):
        found = [[value] * 3 for value in values[:count]]
        if decided(found, FIVE) or at_the_limit(found, FIVE, 0.02):
            break
    center = np.mean(values[:count])
    error = stats.sem(values[:count]) * stats.t.ppf(0.95, count - 1)
    low, high = center - error, center + error
    limit = math.log(FIVE.min_ratio)
    return "pass" if low >= limit else "fail" if high < limit else "inconclusive", count


@pytest.mark.parametrize("sd", [0.005, 0.02])
def test_looking_after_every_round_keeps_the_error_near_what_was_promised(sd):
    """At the limit itself 5 % may fail; four standard errors of 600 gates above that is 8.6 %."""
    random = np.random.default_rng(1)
    drawn = random.normal(math.log(FIVE.min_ratio), sd, (600, 16)).tolist()
    outcomes = [verdict(values)[0] for values in drawn]
    assert outcomes.count("fail") / 600 < 0.086
    assert outcomes.count("pass") / 600 < 0.086


def test_what_is_far_from_the_limit_is_decided_soon():
    random = np.random.default_rng(2)
    for slower, expected in ((0.0, "pass"), (0.1, "fail")):
        drawn = random.normal(-math.log(1 + slower), 0.01, (300, 16)).tolist()
        found = [verdict(values) for values in drawn]
        assert [outcome for outcome, _ in found].count(expected) >= 299
        assert np.mean([count for _, count in found]) < 4.2
