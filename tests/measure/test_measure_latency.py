import itertools
import math
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgepipe.errors import StageError
from edgepipe.measure import latency
from edgepipe.measure.child import Arm, Batch, Block, Child
from edgepipe.measure.machine import machine
from edgepipe.measure.rounds import ArmRound, Budget, Conditions, Session, Texts
from edgepipe.measure.stopping import Limit

FAKE = Path(__file__).with_name("fake_worker.py")
QUICK = Budget(rounds=2, round_seconds=0, round_blocks=4, seconds=0)
TEXTS = ["x" * length for length in range(10, 60)]


def fake(name: str, ms: float, fault: str = "") -> Arm:
    return Arm(name, (sys.executable, str(FAKE), str(ms), *((fault,) if fault else ())))


def test_half_the_time_is_twice_as_fast():
    seen = []
    measured = latency.compare(
        fake("the reference", 2.0),
        [fake("half", 1.0), fake("same", 2.0)],
        Texts(TEXTS, TEXTS),
        Conditions(budget=QUICK),
        lambda done, total, _: seen.append((done, total)),
    )
    half, same = measured.speedups
    assert half.candidate == "half"
    assert half.ratio == pytest.approx(2, rel=0.01)
    assert 1 < half.interval.high / half.interval.low < 1.3  # two processes: Student's t is 12.7
    assert same.ratio == pytest.approx(1, rel=0.01)
    assert measured.control.ratio == pytest.approx(1, rel=0.01)
    assert [len(blocks) for blocks in half.log_ratios] == [4, 4]
    assert half.degrees_of_freedom == 1
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_times_are_those_that_the_children_told():
    measured = latency.compare(
        fake("the reference", 2.0),
        [fake("half", 1.0)],
        Texts(["x" * 10], ["x" * 10] * 100),
        Conditions(budget=QUICK),
    )
    (half,) = measured.candidates
    assert half.calls == 2 * 4 * 10
    assert half.p50_ms == pytest.approx(10, rel=0.01)
    assert half.cpu_p50_ms == pytest.approx(10, rel=0.01)
    # P(Binomial(80, 0.1) <= 1) = 0.002 is below 1 %, and <= 2 with 0.011 is not: the highest.
    assert half.p90_ms == half.quantiles_ms[100]
    assert 10 * (1 + 1.2816 * 0.005) < half.p90_ms < 10.3
    assert half.quantiles_ms[50] == half.p50_ms
    assert half.p99_ms is None
    assert half.texts_per_second == pytest.approx(50, rel=0.01)
    assert half.texts_per_cpu_second == pytest.approx(100, rel=0.01)
    assert half.load_s == 0.25
    assert half.peak_memory_bytes == 5_000_000
    assert measured.reference.p50_ms == pytest.approx(20, rel=0.01)


def test_without_a_batch_no_throughput_is_told():
    measured = latency.compare(
        fake("r", 1.0), [fake("c", 1.0)], Texts(TEXTS), Conditions(budget=QUICK)
    )
    assert measured.reference.texts_per_second == 0
    assert measured.throughputs == ()


def test_throughputs_are_ratios_of_batch_calls_with_an_interval():
    measured = latency.compare(
        fake("r", 2.0), [fake("half", 1.0)], Texts(TEXTS, TEXTS[:20]), Conditions(budget=QUICK)
    )
    (half,) = measured.throughputs
    assert half.candidate == "half"
    assert half.ratio == pytest.approx(2, rel=0.01)
    assert half.interval.low < 2.02
    assert half.interval.high > 1.98
    assert [len(calls) for calls in half.log_ratios] == [1, 1]


def test_batches_are_answered_three_times_while_there_is_time():
    budget = Budget(round_seconds=3600, round_blocks=1)
    session = Session([fake("a", 1), fake("b", 1)], Texts(TEXTS, TEXTS[:40]), Conditions(
        budget=budget))  # fmt: skip
    log: list = []
    told = [ArmRound(0), ArmRound(0)]
    session._batches([Recorder("a", log), Recorder("b", log)], told)
    assert [len(arm_round.batches) for arm_round in told] == [3, 3]
    assert sorted(len(texts) for _, texts in log) == [32] * 2 + [40] * 6
    assert [len(texts) for _, texts in log[:4]] == [32, 40, 32, 40]


def test_more_rounds_are_run_while_the_ratio_is_too_uncertain(monkeypatch):
    clock = SimpleNamespace(monotonic=itertools.count(step=1).__next__)
    monkeypatch.setattr(latency, "time", clock)  # every look at it takes a second
    strict = Budget(rounds=2, round_seconds=0, round_blocks=2, seconds=4.5, half_width=1e-9)
    measured = latency.compare(
        fake("r", 1.0), [fake("c", 1.0)], Texts(TEXTS), Conditions(budget=strict)
    )
    # Looked at after 2, 3, 4 and 5 rounds, with 1, 2, 3 and 4 seconds spent. After 5 rounds,
    # another one would take 4 / 5 of a second, and 4.8 is too much.
    assert len(measured.control.log_ratios) == 5
    assert any("c: the ratio is known to ±" in doubt for doubt in measured.remarks)
    assert measured.doubts == ()


def test_measuring_stops_when_enough_is_known():
    easy = Budget(rounds=2, round_seconds=0, round_blocks=2, seconds=3600, half_width=10)
    measured = latency.compare(
        fake("r", 1.0), [fake("c", 1.0)], Texts(TEXTS), Conditions(budget=easy)
    )
    assert len(measured.control.log_ratios) == 2


def test_other_programs_on_the_cores_are_remarked():
    measured = latency.compare(
        fake("r", 1.0, "waits"), [fake("c", 1.0)], Texts(TEXTS), Conditions(budget=QUICK)
    )
    assert any("programs used the cores" in remark for remark in measured.remarks)


FAR = Limit("c", 0.5, 0.95)
PATIENT = Budget(rounds=4, round_seconds=0, round_blocks=2, seconds=3600, half_width=1e-9)


def rounds_of(budget, *limits, ms=1.0):
    conditions = Conditions(budget=budget)
    measured = latency.compare(
        fake("r", 1.0), [fake("c", ms), fake("d", ms)], Texts(TEXTS), conditions, limits=limits
    )
    return len(measured.control.log_ratios)


def test_the_minimum_is_enough_once_every_limit_is_decided():
    assert rounds_of(PATIENT, FAR, Limit("d", 0.9, 0.95)) == 4
    assert rounds_of(PATIENT, Limit("c", 1.5, 0.95)) == 4  # decided too: it fails


def test_a_limit_that_the_ratio_sits_on_is_given_up_when_that_is_known():
    wide = Budget(rounds=4, round_seconds=0, round_blocks=2, seconds=3600, half_width=0.02)
    assert rounds_of(wide, Limit("c", 1 / 1.1, 0.95), ms=1.1) < 20


def ticking(monkeypatch):
    clock = SimpleNamespace(monotonic=itertools.count(step=1).__next__)
    monkeypatch.setattr(latency, "time", clock)  # every look at it takes a second


def test_one_limit_that_is_undecided_makes_more_rounds_while_there_is_time(monkeypatch):
    ticking(monkeypatch)
    strict = Budget(rounds=2, round_seconds=0, round_blocks=2, seconds=4.5, half_width=1e-9)
    assert rounds_of(strict, FAR, Limit("d", 1.0, 0.999)) == 5  # as without limits, see above


def test_a_doubt_makes_more_rounds_and_stays_when_they_do_not_mend_it(monkeypatch):
    monkeypatch.setattr(latency.stopping, "bias", lambda *_: "a doubt")
    ticking(monkeypatch)
    budget = Budget(rounds=2, round_seconds=0, round_blocks=2, seconds=4.5)
    measured = latency.compare(
        fake("r", 1.0), [fake("c", 1.0)], Texts(TEXTS), Conditions(budget=budget), limits=[FAR]
    )
    assert len(measured.control.log_ratios) == 5
    assert measured.doubts == ("a doubt",)


def test_a_doubt_that_goes_away_is_none(monkeypatch):
    said = iter(["a doubt", "a doubt", "", ""])
    monkeypatch.setattr(latency.stopping, "bias", lambda *_: next(said))
    measured = latency.compare(
        fake("r", 1.0), [fake("c", 1.0)], Texts(TEXTS), Conditions(budget=PATIENT), limits=[FAR]
    )
    assert len(measured.control.log_ratios) == 6
    assert measured.doubts == ()


def test_a_clock_that_ticks_too_rarely_is_a_doubt():
    same = Texts(["x"])
    measured = latency.compare(
        fake("r", 1.0, "ticks"), [fake("c", 1.0)], same, Conditions(budget=QUICK)
    )
    assert [doubt.split(":")[0] for doubt in measured.doubts] == ["r", latency.CONTROL]
    assert "only 1 different times in 80 calls" in measured.doubts[0]


def test_a_limit_on_what_is_not_timed_is_refused():
    with pytest.raises(StageError, match="'x', which is not timed"):
        rounds_of(QUICK, Limit("x", 1.0, 0.95))


def test_a_report_holds_what_was_measured_and_on_what():
    texts, conditions = Texts(TEXTS, TEXTS[:3]), Conditions(seed=7, budget=QUICK)
    measured = latency.compare(fake("r", 2.0), [fake("c", 1.0)], texts, conditions)
    report = latency.report(measured, texts, conditions, data="d", split="validation")
    assert report.texts_sha256 == texts.sha256
    assert (report.texts, report.batch, report.seed) == (50, 3, 7)
    assert report.machine == machine()
    assert report.speedups == measured.speedups
    assert report.throughputs == measured.throughputs
    assert type(report).model_validate_json(report.model_dump_json(by_alias=True)) == report


def test_the_digest_of_texts_knows_their_order_and_their_bounds():
    digests = {
        Texts(["a", "b"]).sha256, Texts(["b", "a"]).sha256, Texts(["ab"]).sha256,
        Texts(["a"], ["b"]).sha256, Texts(["a", "b"], ["a"]).sha256,
    }  # fmt: skip
    assert len(digests) == 5
    assert Texts(["a", "b"]).sha256 == Texts(("a", "b")).sha256


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be chosen here")
def test_one_thread_children_of_a_round_share_a_core(monkeypatch):
    pins: list = []
    monkeypatch.setattr(Child, "pin", lambda child, core: pins.append((child.arm.name, core)))
    session = Session([fake("a", 1), fake("b", 1)], Texts(TEXTS), Conditions(budget=QUICK))
    for _ in range(3):
        session.run_round()
    assert [name for name, _ in pins] == ["a", "b"] * 3
    cores = [core for _, core in pins]
    assert cores[::2] == cores[1::2]
    assert set(cores) <= os.sched_getaffinity(0)
    pins.clear()
    wall = Session([fake("a", 1)], Texts(TEXTS), Conditions(threads=2, budget=QUICK))
    wall.run_round()
    assert pins == []


def test_wall_time_counts_with_more_threads_and_on_cuda():
    assert Conditions().clock == "cpu"
    assert Conditions(threads=2).clock == "wall"
    assert Conditions(device="cuda").clock == "wall"
    session = Session([fake("r", 1.0), fake("w", 1.0, "waits")], Texts(TEXTS), Conditions(
        threads=2, budget=QUICK))  # fmt: skip
    session.run_round()
    assert np.exp(session.log_ratios(0, 1)) == pytest.approx(0.5, rel=0.02)


def test_a_child_that_dies_ends_the_comparison():
    with pytest.raises(StageError, match=r"c: .*the roof is on fire"):
        latency.compare(
            fake("r", 1.0), [fake("c", 1.0, "dies")], Texts(TEXTS), Conditions(budget=QUICK)
        )


def test_a_child_that_answers_with_an_error_ends_the_comparison():
    with pytest.raises(StageError, match=r"c: model\.onnx is truncated"):
        latency.compare(
            fake("r", 1.0), [fake("c", 1.0, "error")], Texts(TEXTS), Conditions(budget=QUICK)
        )


@pytest.mark.parametrize(
    ("arms", "texts", "said"),
    [
        ([], TEXTS, "nothing to time"),
        ([fake("a", 1)], [], "nothing to time"),
        ([fake("a", 1), fake("a", 2)], TEXTS, "different names, got a, a"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_any_child_starts(arms, texts, said):
    with pytest.raises(StageError, match=said):
        latency.compare(fake("r", 1), arms, Texts(texts), Conditions(budget=QUICK))
    with pytest.raises(StageError, match=said):
        latency.fastest(arms, texts, threads=1, seed=0)


def test_the_fastest_is_chosen_and_its_figures_told():
    arms = [fake("slow", 1.5), fake("fast", 1.0), fake("middle", 1.2)]
    name, figures = latency.fastest(arms, ["x" * 10], threads=1, seed=0, budget=QUICK)
    assert name == "fast"
    assert figures["fast"]["relative"] == 1
    assert figures["slow"]["relative"] == pytest.approx(1.5, rel=0.01)
    assert figures["middle"]["ms"] == pytest.approx(12, rel=0.01)


def test_among_equals_the_first_listed_wins():
    near = [fake("listed first", 1.015), fake("a bit faster", 1.0), fake("slow", 1.2)]
    assert latency.fastest(near, TEXTS, threads=1, seed=0, budget=QUICK).name == "listed first"
    far = [fake("listed first", 1.06), fake("faster", 1.0)]
    assert latency.fastest(far, TEXTS, threads=1, seed=0, budget=QUICK).name == "faster"


def test_one_arm_alone_is_the_fastest():
    assert latency.fastest([fake("only", 1)], TEXTS, threads=1, seed=0, budget=QUICK).name == "only"


class Recorder:
    """Stands in for a child and notes what it is asked."""

    def __init__(self, name: str, log: list) -> None:
        self.name = name
        self.log = log

    def block(self, texts, drop) -> Block:
        self.log.append((self.name, tuple(texts)))
        times = tuple([1] * (len(texts) - drop))
        return Block(times, times)

    def many(self, texts) -> Batch:
        self.log.append((self.name, tuple(texts)))
        return Batch(1, 1)


def test_every_visit_asks_all_arms_the_same_texts_in_an_order_of_its_own():
    arms = [fake(name, 1.0) for name in "abc"]
    budget = Budget(round_seconds=0, round_blocks=30)
    session = Session(arms, Texts(TEXTS), Conditions(seed=3, budget=budget))
    log: list = []
    session._singles([Recorder(arm.name, log) for arm in arms], [ArmRound(0) for _ in arms])
    visits = [log[i : i + 3] for i in range(0, len(log), 3)]
    assert len(visits) == 30
    assert all(sorted(name for name, _ in visit) == ["a", "b", "c"] for visit in visits)
    assert all(len({texts for _, texts in visit}) == 1 for visit in visits)
    assert len({tuple(name for name, _ in visit) for visit in visits}) == math.factorial(3)
    asked = list(itertools.chain.from_iterable(visit[0][1] for visit in visits))
    assert sorted(asked[:50], key=len) == TEXTS


def test_texts_go_on_from_round_to_round_with_arms_in_another_order():
    session = Session([fake(n, 1) for n in "abc"], Texts(TEXTS), Conditions(
        seed=3, budget=Budget(round_seconds=0, round_blocks=30)))  # fmt: skip
    logs: list[list] = [[], []]
    for log in logs:
        session._singles([Recorder(name, log) for name in "abc"], [ArmRound(0) for _ in "abc"])
    first, second = ([texts for _, texts in log[::3]] for log in logs)
    assert [name for name, _ in logs[0]] != [name for name, _ in logs[1]]
    asked = list(itertools.chain.from_iterable(first + second))
    assert len(asked) == 2 * 30 * 12
    for start in range(0, len(asked) - 50, 50):  # round after round of all 50 texts, in turn
        assert sorted(asked[start : start + 50], key=len) == TEXTS
    assert first != second


def test_a_candidate_that_is_slow_on_some_texts_is_seen():
    """Three times as slow on 30 % of the texts takes 1.6 times as long; its median call, 1.0."""
    texts = ["x" * 10] * 7 + ["x" * 11] * 3
    measured = latency.compare(
        fake("r", 1.0),
        [fake("c", 1.0, "stumbles")],
        Texts(texts),
        Conditions(budget=Budget(rounds=2, round_seconds=0, round_blocks=10, seconds=0)),
    )
    (found,) = measured.speedups
    assert found.ratio == pytest.approx((7 * 10 + 3 * 11) / (7 * 10 + 3 * 33), rel=0.1)
    assert measured.candidates[0].p50_ms == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize(("fault", "doubted"), [("waits", True), ("", False)])
def test_a_candidate_that_works_where_cpu_time_does_not_see_it_is_a_doubt(fault, doubted):
    measured = latency.compare(
        fake("r", 1.0), [fake("c", 1.0, fault)], Texts(TEXTS), Conditions(budget=QUICK)
    )
    assert any("takes 2.00 times its CPU time" in doubt for doubt in measured.doubts) is doubted
    both = latency.compare(
        fake("r", 1.0, fault), [fake("c", 1.0, fault)], Texts(TEXTS), Conditions(budget=QUICK)
    )
    assert both.doubts == ()  # busy cores
    wall = latency.compare(
        fake("r", 1.0), [fake("c", 1.0, fault)], Texts(TEXTS), Conditions(threads=2, budget=QUICK)
    )
    assert wall.doubts == ()


def test_the_seed_orders_everything():
    def log_of(seed):
        session = Session([fake("a", 1), fake("b", 1)], Texts(TEXTS), Conditions(
            seed=seed, budget=Budget(round_seconds=0, round_blocks=5)))  # fmt: skip
        log: list = []
        session._singles([Recorder("a", log), Recorder("b", log)], [ArmRound(0), ArmRound(0)])
        return log

    assert log_of(1) == log_of(1)
    assert log_of(1) != log_of(2)


def test_percentiles_and_the_99th_from_662_calls_on():
    told = ArmRound(0.1)
    told.blocks = [Block(tuple([10**6] * 10), tuple(range(10**6, 10**7, 9 * 10**5)))] * 67
    session = Session([fake("a", 1)], Texts(TEXTS), Conditions())
    session.rounds = [[told]]
    times = latency._times(session, 0)
    wall = np.tile(np.arange(1.0, 10.0, 0.9), 67)
    assert times.calls == 670
    assert times.p50_ms == pytest.approx(np.median(wall))
    # P(Binomial(670, 0.01) <= 1) = 0.009 is below 1 %, and <= 2 is not: the highest value counts.
    assert times.p99_ms == pytest.approx(max(wall))
    assert times.quantiles_ms == pytest.approx(np.percentile(wall, range(101)))
    told.blocks = told.blocks[:66]
    assert latency._times(session, 0).p99_ms is None


def test_children_that_load_together_do_not_tell_how_long_that_takes():
    budget = Budget(rounds=2, round_seconds=0, round_blocks=2, seconds=0, together=True)
    session = Session([fake("a", 1), fake("b", 1)], Texts(TEXTS), Conditions(budget=budget))
    session.run_round()
    session.run_round()
    assert [[told.load_s for told in arms] for arms in session.rounds] == [[0.25] * 2, [None] * 2]
    assert latency._times(session, 1).load_s == 0.25
    cold = [[told.cold_s for told in arms] for arms in session.rounds]
    assert cold[1] == [None, None]
    assert all(0.005 < seconds < 60 for seconds in cold[0])  # an interpreter takes its time


def test_a_clock_that_stood_still_does_not_divide_by_zero():
    told = ArmRound(0.1, [Block((0, 0), (0, 0))])
    assert told.times("cpu").min() == 1
