"""The child side of a latency benchmark: commands as JSON lines in, times as JSON lines out.

====================================================  ==========================================
command                                               answer
====================================================  ==========================================
``{"do": "load", "clock": "thread" | "process"}``     ``{"load_s": …, "rss_bytes": …}``
``{"do": "block", "texts": […], "drop": k}``          ``{"cpu_ns": […], "wall_ns": […]}``
``{"do": "many", "texts": […]}``                      ``{"cpu_ns": …, "wall_ns": …}``
``{"do": "serve", "texts": […], …}`` (see below)      ``{"latencies_ns": […]}``
``{"do": "memory"}``                                  ``{"peak_rss_bytes": …}``
``{"do": "stop"}``                                    ``{}``, and the worker ends
====================================================  ==========================================

``serve`` has ``arrivals_ns``, a rising time for each text, ``bound_ns`` and ``late``: texts are
answered first come first served, none before it arrives, and the latency counts from its arrival,
waiting included. It ends early once more than ``late`` texts took longer than ``bound_ns``.

An error is answered as ``{"error": message, "exit_code": n}``, and the worker ends. The clock
``thread`` counts the CPU time of the calling thread: use it where one thread does all the work. The
clock ``process`` counts every thread of the process.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from edgepipe.errors import EdgepipeError, ExitCode, UsageError

_CLOCKS: dict[str, Callable[[], int]] = {
    "thread": time.thread_time_ns,
    "process": time.process_time_ns,
}
_STATUS = Path("/proc/self/status")


class Answerer(Protocol):
    """What is measured: a loaded model."""

    def one(self, text: str) -> object:
        """The answer for one text."""

    def many(self, texts: Sequence[str]) -> object:
        """The answers for all texts, batched as the model likes it."""


def serve(load: Callable[[], Answerer], *, stdin: TextIO, stdout: TextIO) -> ExitCode:
    """Every command of ``stdin`` has been answered on ``stdout``, until ``stop`` or its end.

    Meanwhile whatever else writes to the file behind ``stdout`` writes to standard error, so that a
    chatty library cannot break the protocol. ``load`` should import what it needs itself: then its
    seconds are those that a user waits for. End the process with the code returned.
    """
    try:
        with _reserved(stdout) as lines:
            return _until_the_end(load, stdin, lines)
    except BrokenPipeError:  # the parent has gone, and nobody is left to tell
        return ExitCode.INTERRUPTED
    except KeyboardInterrupt:  # Ctrl-C reaches the children too; the parent speaks for them
        return ExitCode.INTERRUPTED


def _until_the_end(load: Callable[[], Answerer], stdin: TextIO, stdout: TextIO) -> ExitCode:
    try:
        return _converse(load, stdin, stdout)
    except EdgepipeError as error:
        _send(stdout, {"error": str(error), "exit_code": int(error.exit_code)})
        return error.exit_code
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        _send(stdout, {"error": message, "exit_code": int(ExitCode.BUG)})
        raise


def _converse(load: Callable[[], Answerer], stdin: TextIO, stdout: TextIO) -> ExitCode:
    bench: _Bench | None = None
    for line in stdin:
        command = _parse(line)
        if command["do"] == "stop":
            _send(stdout, {})
            break
        if command["do"] == "load":
            bench, answer = _load(load, command)
        elif bench is None:
            raise UsageError(f"the worker was told to {command['do']!r} before 'load'")
        else:
            answer = bench.answer(command)
        _send(stdout, answer)
    return ExitCode.OK


def _parse(line: str) -> dict[str, Any]:
    try:
        command = json.loads(line)
    except ValueError as error:
        raise UsageError(f"the worker got a line that is not JSON: {line[:80]!r}") from error
    if not isinstance(command, dict) or not isinstance(command.get("do"), str):
        raise UsageError(f'the worker got {line[:80]!r}, not an object with "do"')
    return command


def _send(stdout: TextIO, answer: dict[str, Any]) -> None:
    stdout.write(json.dumps(answer) + "\n")
    stdout.flush()


def _load(load: Callable[[], Answerer], command: dict[str, Any]) -> tuple[_Bench, dict[str, Any]]:
    clock = command.get("clock", "thread")
    if clock not in _CLOCKS:
        raise UsageError(f"the worker got the clock {clock!r}, not one of {', '.join(_CLOCKS)}")
    begin = time.perf_counter()
    answerer = load()
    seconds = time.perf_counter() - begin
    return _Bench(answerer, _CLOCKS[clock]), {"load_s": seconds, "rss_bytes": rss_bytes()}


class _Bench:
    """A loaded model and the clock that its CPU time is read from."""

    def __init__(self, answerer: Answerer, clock: Callable[[], int]) -> None:
        self.answerer = answerer
        self.clock = clock

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        match command["do"]:
            case "block":
                return self.block(_texts(command), _drop(command))
            case "many":
                return self.many(_texts(command))
            case "serve":
                bound_ns, late = _whole(command, "bound_ns"), _whole(command, "late")
                return self.serve(_texts(command), _arrivals(command), bound_ns, late)
            case "memory":
                return {"peak_rss_bytes": peak_rss_bytes()}
            case unknown:
                raise UsageError(f"the worker does not know {unknown!r}")

    def block(self, texts: Sequence[str], drop: int) -> dict[str, list[int]]:
        """Nanoseconds of one call a text; the first ``drop`` calls warm up and are not told."""
        one, clock, wall = self.answerer.one, self.clock, time.perf_counter_ns
        cpu_ns, wall_ns = [0] * len(texts), [0] * len(texts)
        with _no_garbage_collection():
            for index, text in enumerate(texts):
                cpu_begin, wall_begin = clock(), wall()
                one(text)
                wall_end, cpu_end = wall(), clock()
                cpu_ns[index] = cpu_end - cpu_begin
                wall_ns[index] = wall_end - wall_begin
        return {"cpu_ns": cpu_ns[drop:], "wall_ns": wall_ns[drop:]}

    def many(self, texts: Sequence[str]) -> dict[str, int]:
        """Nanoseconds of one call with all texts."""
        with _no_garbage_collection():
            cpu_begin, wall_begin = self.clock(), time.perf_counter_ns()
            self.answerer.many(texts)
            wall_end, cpu_end = time.perf_counter_ns(), self.clock()
        return {"cpu_ns": cpu_end - cpu_begin, "wall_ns": wall_end - wall_begin}

    def serve(
        self, texts: Sequence[str], arrivals_ns: Sequence[int], bound_ns: int, late: int
    ) -> dict[str, list[int]]:
        """Nanoseconds from arrival to answer, of texts that arrive by the clock on the wall."""
        one, wall = self.answerer.one, time.perf_counter_ns
        latencies: list[int] = []
        with _no_garbage_collection():
            begin = wall()
            for text, arrival_ns in zip(texts, arrivals_ns, strict=True):
                early = begin + arrival_ns - wall()
                if early > 0:
                    time.sleep(early / 1e9)
                one(text)
                latencies.append(wall() - begin - arrival_ns)
                late -= latencies[-1] > bound_ns
                if late < 0:
                    break
        return {"latencies_ns": latencies}


def _texts(command: dict[str, Any]) -> list[str]:
    texts = command.get("texts")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UsageError(f'{command["do"]!r} needs "texts", a list of strings')
    return texts


def _drop(command: dict[str, Any]) -> int:
    drop = command.get("drop", 0)
    if not isinstance(drop, int) or not 0 <= drop <= len(command["texts"]):
        raise UsageError(f'"drop" is {drop!r}, not a number of texts from the block')
    return drop


def _arrivals(command: dict[str, Any]) -> list[int]:
    arrivals = command.get("arrivals_ns")
    if (
        not isinstance(arrivals, list)
        or len(arrivals) != len(command["texts"])
        or not all(isinstance(arrival, int) for arrival in arrivals)
    ):
        raise UsageError('"serve" needs "arrivals_ns", a whole number for every text')
    return arrivals


def _whole(command: dict[str, Any], field: str) -> int:
    value = command.get(field)
    if not isinstance(value, int):
        raise UsageError(f"{field!r} is {value!r}, not a whole number")
    return value


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _reserved(stdout: TextIO) -> Iterator[TextIO]:
    """A stream to where ``stdout`` went, while its file descriptor leads to standard error."""
    try:
        number = stdout.fileno()
    except io.UnsupportedOperation:  # a StringIO: nobody else can write to it
        yield stdout
        return
    stdout.flush()
    kept = os.dup(number)
    os.dup2(sys.stderr.fileno(), number)
    try:
        with open(kept, "w", encoding="utf-8", closefd=False) as lines:
            yield lines
    finally:
        stdout.flush()
        os.dup2(kept, number)
        os.close(kept)


def rss_bytes() -> int:
    """Bytes of memory that this process holds now; its peak where the system does not tell."""
    return _status_bytes("VmRSS") or peak_rss_bytes()


def peak_rss_bytes() -> int:
    """Bytes of memory that this process held at most; 0 where the system does not tell.

    On Linux ``ru_maxrss`` starts at the parent's size (it survives fork and exec), so the kernel's
    own high-water mark of this program is read instead.
    """
    known = _status_bytes("VmHWM")
    if known:
        return known
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _status_bytes(field: str) -> int:
    """A field of /proc/self/status, given there in kB; 0 where there is none."""
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    found = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(next(found, 0)) * 1024
