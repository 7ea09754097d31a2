import itertools
import math
import sys
from pathlib import Path

import pytest
from scipy import stats
from scipy.optimize import brentq

from edgepipe.errors import StageError
from edgepipe.measure import scenarios
from edgepipe.measure.child import Arm
from edgepipe.measure.rounds import Conditions
from edgepipe.measure.scenarios import Bound, highest_rate

FAKE = Path(__file__).with_name("fake_worker.py")
TEXTS = ["x" * 10]


def fake(ms: float, fault: str = "") -> Arm:
    """A text takes ``10 * ms``."""
    return Arm("arm", (sys.executable, str(FAKE), str(ms), *((fault,) if fault else ())))


def waiting_within(seconds: float, rate: float, service: float) -> float:
    """P(W <= t) of an M/D/1 queue: Erlang 1909, as in Gross and Harris, section 5.1."""
    k = int(seconds / service)
    return (1 - rate * service) * math.fsum(
        (-rate * (seconds - n * service)) ** n
        / math.factorial(n)
        * math.exp(rate * (seconds - n * service))
        for n in range(k + 1)
    )


@pytest.mark.parametrize(("percentile", "bound_ms"), [(90, 30.0), (99, 60.0), (99, 40.0)])
def test_the_rate_of_a_queue_with_constant_service(percentile, bound_ms):
    """What holds lies below what the queue can do, by the margin that 99 % confidence costs."""
    found = highest_rate(
        fake(1.0),
        TEXTS,
        Bound(ms=bound_ms, percentile=percentile, seconds=3600),
        Conditions(seed=3),
    )
    service = 0.01
    true = brentq(
        lambda rate: waiting_within(bound_ms / 1e3 - service, rate, service) - percentile / 100,
        1e-3,
        99.9,
    )
    assert 0.7 * true < found.held < 1.05 * true
    assert 0.98 * true < found.refused < 1.2 * true
    assert found.held < found.refused
    assert (found.name, found.bound_ms, found.percentile) == ("arm", bound_ms, percentile)
    assert found.queries == 4096


def test_a_bound_below_the_service_time_holds_at_no_rate():
    found = highest_rate(fake(1.0), TEXTS, Bound(ms=9.0, seconds=3600), Conditions())
    assert (found.held, found.queries) == (0, 0)
    assert found.refused is not None
    assert "no rate that was tried held within 9 ms" in scenarios.remark(found)


def test_a_bound_that_is_never_missed_holds_up_to_what_the_session_can_answer():
    found = highest_rate(fake(1.0), TEXTS, Bound(ms=1e6, seconds=3600), Conditions())
    assert found.refused is None
    assert scenarios.remark(found) == ""
    assert 90 < found.held < 102  # service takes 10 ms, so that 100 is all there is


def test_no_trial_begins_that_would_end_after_the_time():
    found = highest_rate(fake(1.0), TEXTS, Bound(ms=60.0, seconds=0.0), Conditions())
    assert (found.held, found.refused, found.queries) == (0, None, 0)


def test_a_trial_is_as_long_as_time_allows_and_long_enough_for_the_percentile():
    """LoadGen needs 64 queries for the 90th percentile and 662 for the 99th; a quarter more."""
    assert scenarios._queries(Bound(ms=1.0, seconds=16.0), 300.0) == 827
    assert scenarios._queries(Bound(ms=1.0, percentile=90, seconds=16.0), 300.0) == 300
    assert scenarios._queries(Bound(ms=1.0, percentile=90, seconds=16.0), 30.0) == 80
    assert scenarios._queries(Bound(ms=1.0, seconds=16.0), 1e6) == 4096


@pytest.mark.parametrize(("queries", "percentile"), [(128, 90), (1324, 99), (662, 99), (64, 90)])
def test_as_many_may_be_late_as_are_no_chance(queries, percentile):
    """The statistic is the t-th highest with P(Binomial(n, 1 - p) <= t) < 1 %: t - 1 may be."""
    chance = stats.binom.cdf(range(queries), queries, 1 - percentile / 100)
    assert (
        scenarios._allowed(queries, percentile)
        == max(t for t in range(queries) if chance[t] < 0.01) - 1
    )


def test_arrivals_are_the_same_at_every_rate_but_for_their_scale():
    class Recorder:
        def __init__(self):
            self.arrivals = []

        def serve(self, texts, arrivals_ns, *, bound_ns, late):
            self.arrivals.append(arrivals_ns)
            return [1] * len(texts)

    child = Recorder()
    trials = scenarios._Trials(child, TEXTS, Bound(ms=1.0), queries=1324, seed=5)
    assert trials.outcome(10.0) == "held"
    assert trials.outcome(20.0) == "held"
    slow, fast = child.arrivals
    assert slow == pytest.approx([2 * ns for ns in fast], abs=2)
    assert slow[-1] / len(slow) == pytest.approx(1e8, rel=0.1)  # 10 a second
    gaps = [(b - a) / 1e8 for a, b in itertools.pairwise(slow)]
    assert stats.kstest(gaps, "expon").pvalue > 0.01


@pytest.mark.parametrize("percentile", [90, 99])
def test_a_rate_is_refused_only_when_its_latencies_prove_it(percentile):
    """So many late that chance gives fewer with 99 %, if the percentile were within the bound."""

    class Child:
        def serve(self, texts, arrivals_ns, *, bound_ns, late):
            stop = min(self.late, late + 1)
            return [bound_ns + 1] * stop + [1] * (len(texts) - stop if stop == self.late else 0)

    child, queries = Child(), 1324
    trials = scenarios._Trials(child, TEXTS, Bound(ms=1.0, percentile=percentile), queries, seed=5)
    proof = int(stats.binom.ppf(0.99, queries, 1 - percentile / 100)) + 1
    held = scenarios._allowed(queries, percentile)
    for late, outcome in (
        (held, "held"),
        (held + 1, "undecided"),
        (proof - 1, "undecided"),
        (proof, "refused"),
        (queries, "refused"),
    ):
        child.late = late
        assert trials.outcome(10.0) == outcome


class Ladder:
    """Stands in for trials: rates hold up to one figure, and are refused from another."""

    bound = Bound(ms=1.0)
    queries = 700

    def __init__(self, held: float, refused: float) -> None:
        self.held = held
        self.refused = refused

    def outcome(self, rate: float) -> str:
        return "held" if rate <= self.held else "refused" if rate >= self.refused else "undecided"


@pytest.mark.parametrize(("held", "refused"), [(30, 35), (60, 61), (60, 90), (5, 97), (50, 200)])
def test_rates_between_are_undecided(held, refused):
    found = scenarios._search("arm", Ladder(held, refused), 100.0, math.inf)
    assert 0.9 * held <= found.held <= held
    if refused > 100:
        assert found.refused is None
    elif found.refused is not None:
        assert refused <= found.refused <= 1.15 * refused
    assert (found.refused is None) == (refused > 95)


def test_a_child_that_fails_ends_the_search():
    with pytest.raises(StageError, match=r"arm: .*the roof is on fire"):
        highest_rate(fake(1.0, "dies"), TEXTS, Bound(ms=60.0), Conditions())
