"""Rounds of a table: kept one by one, taken over, without the arms that break."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.peers.clocks import clocks
from benchmarks.peers.work import Work
from edgepipe.errors import StageError, UsageError
from edgepipe.measure.child import Arm

FAKE = Path(__file__).parents[1] / "measure" / "fake_worker.py"
SINGLES = ["x" * length for length in range(10, 40)]
BATCHES = [["x" * 20] * 40, ["x" * 30] * 40]


def fake(name: str, ms: float, fault: str = "") -> Arm:
    return Arm(name, (sys.executable, str(FAKE), str(ms), *((fault,) if fault else ())))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work", {"seed": "0"})


def timed(work: Work, arms: list[Arm], batches=BATCHES):
    said: list[str] = []
    found = clocks("tools", arms, SINGLES, batches, work, blocks=3, seed=0, say=said.append)
    return found, said


def test_every_round_answers_its_own_batch_and_the_same_single_texts(work: Work) -> None:
    found, said = timed(work, [fake("torch", 2.0), fake("twice", 1.0)])
    report = found.report
    assert [s.candidate for s in report.speedups] == ["twice"]
    assert report.speedups[0].ratio == pytest.approx(2, rel=0.01)
    assert report.throughputs[0].ratio == pytest.approx(2, rel=0.01)
    assert [len(blocks) for blocks in report.speedups[0].log_ratios] == [3, 3]
    assert [len(calls) for calls in report.throughputs[0].log_ratios] == [1, 1]
    assert report.reference.calls == 2 * 3 * 10
    # 40 texts of 20 and of 30 letters at 2 ms a letter: the median call takes 2 s
    assert report.reference.texts_per_cpu_second == pytest.approx(40 / 2.0, rel=0.02)
    assert [cold.arm for cold in found.cold] == ["torch", "twice"]
    assert found.cold[0].load_s == 0.25
    # by this process's clock, of children that pretend: the interpreter's start and no sleep
    assert len(found.cold[0].totals_s) == 2
    assert 0.005 < found.cold[0].total_s < 30
    assert len(said) == 2


def test_an_interrupted_table_goes_on_after_its_last_whole_round(work: Work) -> None:
    arms = [fake("torch", 2.0), fake("twice", 1.0)]
    whole, _ = timed(work, arms)
    rounds = work.folder / "rounds" / "tools.jsonl"
    first = rounds.read_text().splitlines()[0]
    rounds.write_text(first + "\n" + '{"seconds": 1.0, "arms": {"torch": {"loa')
    again, said = timed(work, arms)
    assert said == ["tools: round 2 of 2, 2 arms side by side"]
    assert again.report.speedups[0].log_ratios[0] == whole.report.speedups[0].log_ratios[0]
    assert again.report.speedups[0].log_ratios[1] != whole.report.speedups[0].log_ratios[1]


def test_an_arm_that_dies_is_told_and_left_out(work: Work) -> None:
    arms = [fake("torch", 2.0), fake("dead", 1.0, "dies"), fake("twice", 1.0)]
    found, _ = timed(work, arms)
    assert [arm.name for arm in found.report.candidates] == ["twice"]
    (crash,) = found.crashes
    assert crash.arm == "dead"
    assert "the roof is on fire" in crash.why
    assert "/" not in crash.why.replace("…/", "")
    again, said = timed(work, arms)
    assert again.crashes == found.crashes
    assert said == []


def test_without_the_reference_there_is_no_table(work: Work) -> None:
    with pytest.raises(StageError, match=r"torch: .*the roof is on fire"):
        timed(work, [fake("torch", 2.0, "dies"), fake("twice", 1.0)])


def test_a_work_folder_is_one_comparisons(tmp_path: Path, monkeypatch) -> None:
    Work(tmp_path, {"checkpoint": "aa"})
    Work(tmp_path, {"checkpoint": "aa"})
    with pytest.raises(UsageError, match=r"another checkpoint .aa, here bb.*--work"):
        Work(tmp_path, {"checkpoint": "bb"})


def test_a_work_folder_is_one_machines(tmp_path: Path, monkeypatch) -> None:
    Work(tmp_path, {})
    monkeypatch.setattr("benchmarks.peers.work.machine_id", lambda: "0123456789abcdef")
    with pytest.raises(UsageError, match="another machine"):
        Work(tmp_path, {})


def test_damage_in_the_middle_is_refused(work: Work) -> None:
    work.append("rounds/tools", {"a": 1})
    with (work.folder / "rounds" / "tools.jsonl").open("a") as lines:
        lines.write("no json\n")
    with pytest.raises(UsageError, match="is damaged: remove it"):
        work.lines("rounds/tools")


def test_time_spent_adds_up_over_runs(tmp_path: Path, monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr("benchmarks.peers.work.time.monotonic", lambda: now[0])
    first = Work(tmp_path, {})
    now[0] += 30
    first.tick()
    now[0] += 1000  # lost: nothing was finished
    second = Work(tmp_path, {})
    now[0] += 12
    second.tick()
    assert second.spent() == 42
