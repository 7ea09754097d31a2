"""The experiment on false alarms: known slow-downs, resampling by the gate's own rules, tables."""

from __future__ import annotations

import importlib
import json
import math
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.runtime.tiny_onnx import Tiny, write_bundle

GATE = Path(__file__).parents[2] / "benchmarks" / "gate"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(GATE))
    return importlib.import_module


def test_a_slow_worker_spins_for_a_share_of_the_calls_own_time(script, monkeypatch) -> None:
    slow_worker: ModuleType = script("slow_worker")
    now = [1000]

    def clock() -> int:
        now[0] += 1  # a look costs a nanosecond
        return now[0]

    class Model:
        def one(self, text: str) -> str:
            now[0] += 1000
            return text.upper()

    monkeypatch.setattr(slow_worker.time, "thread_time_ns", clock)
    began = now[0]
    assert slow_worker.SlowAnswerer(Model(), 0.2).one("yes") == "YES"
    assert now[0] - began == pytest.approx(1200, abs=5)


def gates(slower: float, outcome: str, sd: float, count: int = 12) -> list[dict[str, object]]:
    noise = random.Random(0)  # noqa: S311

    def rounds(mean: float) -> list[list[float]]:
        centers = [mean + noise.gauss(0, sd) for _ in range(4)]
        return [[center + noise.gauss(0, sd) for _ in range(8)] for center in centers]

    return [
        {
            "condition": "idle", "slower": slower, "number": number, "outcome": outcome,
            "seconds": 6.0, "load": 0.5, "log_ratios": rounds(-math.log(1 + slower)),
            "control": rounds(0.0), "doubts": [],
        }
        for number in range(count)
    ]  # fmt: skip


def test_resampled_gates_end_as_live_ones_do(script) -> None:
    again = script("alarms_again")
    for slower, outcome in ((0.0, "pass"), (0.2, "fail")):
        live = [again.Gate(**gate) for gate in gates(slower, outcome, 0.005)]
        found = again.resampled(live, 50)
        assert {one.outcome for one in found} == {outcome}
        assert {one.rounds for one in found} == {4}
        assert not any(one.doubt for one in found)


def test_a_gate_on_the_limit_ends_when_that_is_known_or_time_is_up(script) -> None:
    again = script("alarms_again")
    noisy = [again.Gate(**{**gate, "outcome": "inconclusive", "doubts": ["d"]})
             for gate in gates(0.05, "", 0.2)]  # fmt: skip
    found = again.resampled(noisy, 50)
    assert max(one.rounds for one in found) == 40  # 60 s at 1.5 s a round
    quiet = [again.Gate(**{**gate, "outcome": "inconclusive", "doubts": ["d"]})
             for gate in gates(0.05, "", 0.01)]  # fmt: skip
    assert max(one.rounds for one in again.resampled(quiet, 50)) < 12


def test_runs_are_paired_with_every_other_run_of_the_model_as_it_was(script) -> None:
    again, pairs = script("alarms_again"), script("alarms_pairs")
    as_it_was = [again.Gate(**gate) for gate in gates(0.0, "pass", 0.005, count=5)]
    slower = [again.Gate(**gate) for gate in gates(0.2, "fail", 0.005, count=3)]
    assert pairs.against_baselines(as_it_was, as_it_was) == ["pass"] * 20  # none with itself
    assert pairs.against_baselines(slower, as_it_was) == ["fail"] * 15
    doubtful = [again.Gate(**{**gate, "doubts": ["d"]}) for gate in gates(0.2, "fail", 0.005)]
    assert set(pairs.against_baselines(doubtful, as_it_was)) == {"inconclusive"}


def test_a_verdict_that_its_figures_do_not_bear_out_is_refused(script) -> None:
    again = script("alarms_again")
    with pytest.raises(SystemExit, match="gate 0 is not that of its figures"):
        again.resampled([again.Gate(**gate) for gate in gates(0.0, "fail", 0.005)], 5)


def test_tables_are_made_of_what_was_recorded(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", Tiny())
    lines = [json.dumps(gate) for gate in (*gates(0.0, "pass", 0.005), *gates(0.1, "fail", 0.005))]
    work = tmp_path / "work.jsonl"
    work.write_text("\n".join(lines) + "\n" + lines[0][:50])  # interrupted while it wrote
    subprocess.run(
        [
            *(sys.executable, str(GATE / "alarms.py"), "--bundle", str(bundle)),
            *("--condition", "none", "--resamples", "20", "--work", str(work)),
            *("--out", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    none, tenth = json.loads((tmp_path / "gate-alarms.json").read_text())["figures"]
    assert (none["slower"], tenth["slower"]) == (0.0, 0.1)
    assert none["live"]["pass"] == tenth["live"]["fail"] == tenth["resampled"]["fail"] == 1
    assert none["live"]["gates"] == 12
    assert tenth["mean_log_ratio"] == pytest.approx(-math.log(1.1), abs=0.005)
    text = (tmp_path / "gate-alarms.md").read_text()
    assert "| idle: 10 % slower failed, at least 95 % | 100.0% | 100.0% |" in text
    assert str(tmp_path) not in text
