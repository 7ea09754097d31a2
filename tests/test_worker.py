from __future__ import annotations

import gc
import io
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from edgepipe import worker
from edgepipe.errors import DeviceError, ExitCode
from edgepipe.worker import serve


class Recorder:
    """Remembers its texts; every call spins for ``spin_ns`` of CPU and sleeps for ``sleep_s``."""

    def __init__(self, spin_ns: int = 0, sleep_s: float = 0) -> None:
        self.calls: list[object] = []
        self.collecting: set[bool] = set()
        self.spin_ns = spin_ns
        self.sleep_s = sleep_s

    def one(self, text: str) -> object:
        return self._answer(text)

    def many(self, texts: Sequence[str]) -> object:
        return self._answer(list(texts))

    def _answer(self, what: object) -> object:
        self.calls.append(what)
        self.collecting.add(gc.isenabled())
        time.sleep(self.sleep_s)
        spin(self.spin_ns)
        return what


def spin(nanoseconds: int) -> None:
    end = time.thread_time_ns() + nanoseconds
    while time.thread_time_ns() < end:
        pass


class InAnotherThread(Recorder):
    def _answer(self, what: object) -> object:
        thread = threading.Thread(target=spin, args=(self.spin_ns,))
        thread.start()
        thread.join()
        return what


def talk(answerer: Recorder, *commands: dict[str, Any] | str) -> tuple[ExitCode, list[Any]]:
    lines = (line if isinstance(line, str) else json.dumps(line) for line in commands)
    out = io.StringIO()
    code = serve(lambda: answerer, stdin=io.StringIO("\n".join(lines)), stdout=out)
    return code, [json.loads(line) for line in out.getvalue().splitlines()]


LOAD = {"do": "load"}
TEXTS = ["a", "b", "c"]


def test_a_whole_conversation() -> None:
    recorder = Recorder()
    code, answers = talk(
        recorder,
        LOAD,
        {"do": "block", "texts": TEXTS, "drop": 1},
        {"do": "many", "texts": TEXTS},
        {"do": "memory"},
        {"do": "stop"},
        {"do": "many", "texts": ["never read"]},
    )
    assert code == ExitCode.OK
    loaded, block, many, memory, stopped = answers
    assert set(loaded) == {"load_s", "rss_bytes"}
    assert {key: len(value) for key, value in block.items()} == {"cpu_ns": 2, "wall_ns": 2}
    assert set(many) == {"cpu_ns", "wall_ns"}
    assert set(memory) == {"peak_rss_bytes"}
    assert stopped == {}
    assert recorder.calls == ["a", "b", "c", TEXTS]


def test_the_end_of_input_ends_the_worker() -> None:
    assert talk(Recorder()) == (ExitCode.OK, [])


def test_load_counts_its_seconds() -> None:
    def load() -> Recorder:
        time.sleep(0.05)
        return Recorder()

    out = io.StringIO()
    serve(load, stdin=io.StringIO(json.dumps(LOAD)), stdout=out)
    assert json.loads(out.getvalue())["load_s"] >= 0.05


def test_cpu_and_wall_time_are_told_apart() -> None:
    recorder = Recorder(spin_ns=2_000_000, sleep_s=0.03)
    _, (_, block, many) = talk(
        recorder, LOAD, {"do": "block", "texts": ["a"]}, {"do": "many", "texts": TEXTS}
    )
    for cpu_ns, wall_ns in (
        (block["cpu_ns"][0], block["wall_ns"][0]),
        (many["cpu_ns"], many["wall_ns"]),
    ):
        assert 2_000_000 <= cpu_ns < wall_ns - 25_000_000
        assert wall_ns >= 32_000_000


def serving(*arrivals_ms: int, bound_ms: int = 10_000, late: int = 0) -> dict[str, Any]:
    return {
        "do": "serve", "texts": [str(n) for n in range(len(arrivals_ms))],
        "arrivals_ns": [ms * 1_000_000 for ms in arrivals_ms],
        "bound_ns": bound_ms * 1_000_000, "late": late,
    }  # fmt: skip


def test_no_text_is_answered_before_it_arrives() -> None:
    recorder = Recorder()
    began = time.perf_counter_ns()
    _, (_, told) = talk(recorder, LOAD, serving(0, 30, 60))
    assert time.perf_counter_ns() - began >= 60_000_000
    assert recorder.calls == ["0", "1", "2"]
    assert len(told["latencies_ns"]) == 3
    assert min(told["latencies_ns"]) >= 0


def test_a_text_waits_for_those_before_it() -> None:
    _, (_, told) = talk(Recorder(sleep_s=0.02), LOAD, serving(0, 0, 0))
    first, second, third = told["latencies_ns"]
    assert first >= 20_000_000
    assert second >= first + 20_000_000
    assert third >= second + 20_000_000


def test_serving_ends_once_too_many_are_late() -> None:
    recorder = Recorder(sleep_s=0.005)
    _, (_, told) = talk(recorder, LOAD, serving(*[0] * 9, bound_ms=1, late=2))
    assert len(told["latencies_ns"]) == len(recorder.calls) == 3


@pytest.mark.parametrize(("clock", "counted"), [("thread", False), ("process", True)])
def test_the_process_clock_counts_other_threads(clock: str, counted: object) -> None:
    load = {"do": "load", "clock": clock}
    _, (_, block) = talk(InAnotherThread(spin_ns=20_000_000), load, {"do": "block", "texts": ["a"]})
    assert (block["cpu_ns"][0] >= 20_000_000) is counted


def test_no_garbage_is_collected_while_the_clock_runs() -> None:
    recorder = Recorder()
    talk(recorder, LOAD, {"do": "block", "texts": TEXTS}, {"do": "many", "texts": TEXTS})
    assert recorder.collecting == {False}
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        (["no json"], "not JSON: 'no json"),
        (["[1]"], 'not an object with "do"'),
        ([{"texts": []}], 'not an object with "do"'),
        ([{"do": "memory"}], "'memory' before 'load'"),
        ([LOAD, {"do": "dance"}], "does not know 'dance'"),
        ([{"do": "load", "clock": "sun"}], "clock 'sun', not one of thread, process"),
        ([LOAD, {"do": "many"}], "'many' needs \"texts\""),
        ([LOAD, {"do": "block", "texts": "abc"}], "'block' needs \"texts\""),
        ([LOAD, {"do": "many", "texts": [1]}], "a list of strings"),
        ([LOAD, {"do": "serve", "texts": ["a"], "bound_ns": 1}], "'late' is None"),
        ([LOAD, {**serving(1, 2), "arrivals_ns": [1]}], 'needs "arrivals_ns"'),
        ([LOAD, {**serving(1), "arrivals_ns": ["1"]}], 'needs "arrivals_ns"'),
        ([LOAD, {"do": "block", "texts": ["a"], "drop": 2}], '"drop" is 2'),
        ([LOAD, {"do": "block", "texts": ["a"], "drop": "1"}], "\"drop\" is '1'"),
    ],
)
def test_a_wrong_command_is_answered_and_ends_the_worker(commands: list[Any], message: str) -> None:
    code, answers = talk(Recorder(), *commands, LOAD)
    assert code == ExitCode.USAGE
    assert message in answers[-1]["error"]
    assert answers[-1]["exit_code"] == ExitCode.USAGE
    assert len(answers) == len(commands)


def test_an_error_of_ours_keeps_its_exit_code() -> None:
    def load() -> Recorder:
        raise DeviceError("no CUDA here")

    out = io.StringIO()
    code = serve(load, stdin=io.StringIO(json.dumps(LOAD)), stdout=out)
    assert code == ExitCode.STAGE
    assert json.loads(out.getvalue()) == {"error": "no CUDA here", "exit_code": ExitCode.STAGE}


def test_a_bug_is_answered_and_raised() -> None:
    def load() -> Recorder:
        return {}["weights"]

    out = io.StringIO()
    with pytest.raises(KeyError):
        serve(load, stdin=io.StringIO(json.dumps(LOAD)), stdout=out)
    assert json.loads(out.getvalue()) == {"error": "KeyError: 'weights'", "exit_code": 1}


def test_ctrl_c_ends_without_a_word() -> None:
    def load() -> Recorder:
        raise KeyboardInterrupt

    out = io.StringIO()
    code = serve(load, stdin=io.StringIO(json.dumps(LOAD)), stdout=out)
    assert (code, out.getvalue()) == (ExitCode.INTERRUPTED, "")


CHATTY = """
import os, sys
from edgepipe.worker import serve

class Chatty:
    def one(self, text):
        print("python says hello")
        os.system("echo a child says hello")
        os.write(1, b"a library says hello\\n")
    def many(self, texts):
        pass

code = serve(Chatty, stdin=sys.stdin, stdout=sys.stdout)
print("after")
sys.exit(code)
"""


def test_only_protocol_lines_reach_stdout() -> None:
    commands = [LOAD, {"do": "block", "texts": ["a", "b"]}, {"do": "stop"}]
    done = subprocess.run(
        [sys.executable, "-c", CHATTY],
        input="\n".join(map(json.dumps, commands)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    *answers, last = done.stdout.splitlines()
    assert [set(json.loads(line)) for line in answers] == [
        {"load_s", "rss_bytes"},
        {"cpu_ns", "wall_ns"},
        set(),
    ]
    assert last == "after"
    for who in ("python", "a child", "a library"):
        assert done.stderr.count(f"{who} says hello") == 2


QUIET = """
import sys
from edgepipe.worker import serve
sys.exit(serve(lambda: None, stdin=sys.stdin, stdout=sys.stdout))
"""


def test_a_parent_that_has_gone_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", QUIET],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout
        child.stdout.close()
        child.stdout = None
        _, said = child.communicate(json.dumps(LOAD), timeout=60)
    assert (child.returncode, said) == (ExitCode.INTERRUPTED, "")


MEMORY = """
import json, sys
from edgepipe.worker import peak_rss_bytes, rss_bytes
before = peak_rss_bytes()
block = bytearray(200_000_000)
del block
print(json.dumps([before, rss_bytes(), peak_rss_bytes()]))
"""


def test_the_peak_is_that_of_this_program_and_not_of_its_parent() -> None:
    """On Linux ru_maxrss of a child starts at the size of the parent it was forked from."""
    ballast = b"x" * 150_000_000
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, timeout=60, check=True
    )
    before, now, peak = json.loads(done.stdout)
    assert ballast
    assert 1_000_000 < before < 100_000_000
    assert before + 150_000_000 < peak < before + 250_000_000
    assert now < peak - 150_000_000


def test_memory_without_a_proc_file_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    monkeypatch.setattr(worker, "_STATUS", tmp_path / "absent")  # type: ignore[operator]
    unit = 1 if sys.platform == "darwin" else 1024
    expected = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    assert expected <= worker.peak_rss_bytes() <= expected + 2**20
    assert worker.rss_bytes() >= expected
