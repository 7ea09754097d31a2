import itertools
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgepipe.errors import StageError
from edgepipe.measure import latency
from edgepipe.measure.child import Arm, Block
from edgepipe.measure.records import Speedup
from edgepipe.measure.rounds import ArmRound, Budget, Conditions, Session, Texts
from edgepipe.measure.statistics import TWO_SIDED, ratio_bounds

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
    assert half.p90_ms == pytest.approx(10 * (1 + 1.2816 * 0.005), rel=0.005)
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


def speedup(*ratios: float) -> Speedup:
    log_ratios = tuple((math.log(ratio),) * 3 for ratio in ratios)
    bounds = ratio_bounds(log_ratios, confidence=TWO_SIDED)
    return Speedup(
        candidate="c", ratio=math.exp(np.mean(log_ratios)), interval=bounds, standard_error=0.1,
        degrees_of_freedom=len(ratios) - 1, log_ratios=log_ratios,
    )  # fmt: skip


def test_a_reference_that_provably_differs_from_itself_is_a_doubt():
    (doubt,) = latency._doubts(speedup(1.05, 1.051, 1.049))
    assert "1.050 times as fast" in doubt
    assert latency._doubts(speedup(0.95, 0.951, 0.949))
    assert latency._doubts(speedup(1.0, 1.01, 0.99)) == ()
    assert latency._doubts(speedup(0.9, 1.25, 1.1)) == ()  # noisy, and no proof of anything


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


def test_every_round_asks_the_same_texts_with_arms_in_another_order():
    session = Session([fake(n, 1) for n in "abc"], Texts(TEXTS), Conditions(
        seed=3, budget=Budget(round_seconds=0, round_blocks=30)))  # fmt: skip
    logs: list[list] = [[], []]
    for log in logs:
        session._singles([Recorder(name, log) for name in "abc"], [ArmRound(0) for _ in "abc"])
    first, second = ([texts for _, texts in log] for log in logs)
    assert first == second
    assert [name for name, _ in logs[0]] != [name for name, _ in logs[1]]


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
    assert times.p99_ms == pytest.approx(np.percentile(wall, 99))
    told.blocks = told.blocks[:66]
    assert latency._times(session, 0).p99_ms is None


def test_a_clock_that_stood_still_does_not_divide_by_zero():
    told = ArmRound(0.1, [Block((0, 0), (0, 0))])
    assert told.times("cpu").min() == 1
