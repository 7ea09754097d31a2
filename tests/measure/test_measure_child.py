import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgepipe.errors import StageError
from edgepipe.measure import child
from edgepipe.measure.child import Arm, onnx_arm, running

FAKE = Path(__file__).with_name("fake_worker.py")


def fake(name: str = "fake", ms: float = 1.0, fault: str = "") -> Arm:
    return Arm(name, (sys.executable, str(FAKE), str(ms), *((fault,) if fault else ())))


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_child_answers_every_question():
    with running(fake(), threads=1) as worker:
        assert worker.load("thread") == 0.25
        block = worker.block(["a", "bb", "ccc"], 1)
        assert [round(ns / 1e6) for ns in block.cpu_ns] == [2, 3]
        batch = worker.many(["aaaa", "bbbb"])
        assert (round(batch.cpu_ns / 1e6), round(batch.wall_ns / 1e6)) == (8, 16)
        assert worker.peak_memory() == 5_000_000
        arrivals = [0, 1_000_000, 20_000_000]
        latencies = worker.serve(["aa"] * 3, arrivals, bound_ns=10**9, late=0)
        assert latencies == (2_000_000, 3_000_000, 2_000_000)  # the second one waits for 1 ms


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be chosen here")
def test_a_child_runs_where_it_was_pinned():
    with running(fake(), threads=1) as worker:
        core = max(os.sched_getaffinity(0))
        worker.pin(core)
        assert os.sched_getaffinity(worker._process.pid) == {core}
        worker.pin(10**4)  # no such core: it stays where it is
        assert worker.load("thread") == 0.25


def talk(arm: Arm, threads: int = 1) -> None:
    with running(arm, threads=threads) as worker:
        worker.load("thread")
        worker.block(["a", "b"], 0)


def test_the_environment_pins_threads_and_stays_offline():
    script = (
        "import json, os, sys; sys.stdin.readline();"
        "print(json.dumps({'error': ' '.join(os.environ[k] for k in "
        "('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'TOKENIZERS_PARALLELISM', 'HF_HUB_OFFLINE'))}))"
    )
    with pytest.raises(StageError, match="tells: 3 3 false 1"):
        talk(Arm("tells", (sys.executable, "-c", script)), threads=3)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("error", r"^fake: model\.onnx is truncated$"),
        ("babble", "answered 'Loading weights: 100%.*not JSON"),
        ("list", "^fake: the benchmark worker answered"),
        ("forgets", "left out 'load_s'"),
        ("short", "fake: the benchmark worker timed not 2 calls"),
        ("dies", "fake: its process ended with 9 .*the roof is on fire"),
    ],
)
def test_what_goes_wrong_in_a_child_names_the_arm(fault, said):
    with pytest.raises(StageError, match=said):
        talk(fake(fault=fault))


def test_only_the_tail_of_what_a_dead_child_said_is_kept():
    script = "import sys; sys.stderr.write('x' * 100_000 + 'the end'); sys.exit(1)"
    with pytest.raises(StageError, match="the end") as caught:
        talk(Arm("wordy", (sys.executable, "-c", script)))
    assert len(str(caught.value)) < 3000


def test_a_child_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(child, "_PATIENCE_S", 2.0)
    with pytest.raises(StageError, match="fake: no answer within 2 s"):
        talk(fake(fault="hangs"))


def test_a_command_that_does_not_exist_is_named():
    arm = Arm("lost", ("/nowhere/python",))
    with pytest.raises(StageError, match="lost: /nowhere/python"), running(arm, threads=1):
        pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_children_are_gone_after_any_end(error):
    pids = []

    def interrupted() -> None:
        with running(fake(), threads=1) as worker:
            worker.load("thread")
            pids.append(worker._process.pid)
            raise error

    with pytest.raises(error):
        interrupted()
    assert gone(pids[0])


def test_a_child_does_not_outlive_a_killed_parent(tmp_path):
    pid_file = tmp_path / "pid"
    script = (
        "import sys, time, pathlib; from edgepipe.measure.child import Arm, running\n"
        f"with running(Arm('a', (sys.executable, {str(FAKE)!r}, '1')), threads=1) as c:\n"
        f"    c.load('thread'); pathlib.Path({str(pid_file)!r}).write_text(str(c._process.pid))\n"
        "    time.sleep(3600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 30
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    pid = int(pid_file.read_text())
    while not ended(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ended(pid)


def ended(pid: int) -> bool:
    """Gone, or a zombie that nobody has collected yet."""
    status = Path(f"/proc/{pid}/status")
    return not status.exists() or "State:\tZ" in status.read_text()


def test_an_onnx_arm_is_a_module_command(tmp_path):
    arm = onnx_arm("int8", tmp_path, device="cpu", threads=2, plain=True)
    assert arm.command[:4] == (sys.executable, "-P", "-m", "edgepipe.measure.worker_onnx")
    assert arm.command[4:] == (
        *("--model", str(tmp_path), "--variant", "auto", "--device", "cpu"),
        *("--threads", "2", "--plain"),
    )
