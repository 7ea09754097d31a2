"""The parent's side of a benchmark worker: one child process, one question at a time.

``edgepipe.worker`` describes the questions and answers.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from edgepipe import disk
from edgepipe.errors import StageError
from edgepipe.measure.models import Device

_PATIENCE_S = 600.0
_GRACE_S = 10.0
_TAIL = 2000
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)
_QUIET = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class Arm:
    """Something to measure: a command that speaks the worker's protocol."""

    name: str
    command: tuple[str, ...]
    digest: str = ""
    device: Device = "cpu"
    bytes: int = 0
    """Of the files that ship."""
    folder: Path | None = None
    """Of the bundle or OnnxModel that it answers with; None for anything else."""
    variant: str = "auto"


def onnx_arm(  # noqa: PLR0913 (what a session can be asked for)
    name: str,
    folder: Path,
    *,
    variant: str = "auto",
    device: Device,
    threads: int,
    plain: bool = False,
) -> Arm:
    """A bundle or OnnxModel folder in the runtime; ``plain``: with onnxruntime's own defaults."""
    return Arm(
        name,
        (
            *module("edgepipe.measure.worker_onnx"),
            *("--model", str(folder)),
            *("--variant", variant),
            *("--device", device),
            *("--threads", str(threads)),
            *(("--plain",) if plain else ()),
        ),
        device=device,
        folder=folder,
        variant=variant,
    )


def module(name: str) -> tuple[str, ...]:
    """The command that runs a module; ``-P`` keeps the working directory's files out of imports."""
    return (sys.executable, "-P", "-m", name)


@dataclass(frozen=True)
class Block:
    """Nanoseconds of single calls, one a text."""

    cpu_ns: tuple[int, ...]
    wall_ns: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Nanoseconds of one call with many texts."""

    cpu_ns: int
    wall_ns: int


class Child:
    """A running worker. Every method asks, waits and raises StageError when the child fails."""

    def __init__(self, arm: Arm, process: subprocess.Popen[str], stderr: IO[bytes]) -> None:
        self.arm = arm
        self._process = process
        self._stderr = stderr

    def load(self, clock: Literal["thread", "process"]) -> float:
        """The model is loaded; returns the seconds that took."""
        self.begin_load(clock)
        return self.loaded()

    def begin_load(self, clock: Literal["thread", "process"]) -> None:
        """The model is loading; ``loaded`` has to be the next question."""
        self._tell({"do": "load", "clock": clock})

    def loaded(self) -> float:
        """The model is loaded; returns the seconds that took."""
        return float(self._told("load_s")["load_s"])

    def block(self, texts: Sequence[str], drop: int) -> Block:
        """Times of one call for each text after the first ``drop``."""
        found = self._ask({"do": "block", "texts": texts, "drop": drop}, "cpu_ns", "wall_ns")
        block = Block(tuple(found["cpu_ns"]), tuple(found["wall_ns"]))
        expected = len(texts) - drop
        if len(block.cpu_ns) != expected or len(block.wall_ns) != expected:
            raise StageError(f"{self.arm.name}: the benchmark worker timed not {expected} calls")
        return block

    def many(self, texts: Sequence[str]) -> Batch:
        """Times of one call with all texts."""
        found = self._ask({"do": "many", "texts": texts}, "cpu_ns", "wall_ns")
        return Batch(int(found["cpu_ns"]), int(found["wall_ns"]))

    def serve(
        self, texts: Sequence[str], arrivals_ns: Sequence[int], *, bound_ns: int, late: int
    ) -> tuple[int, ...]:
        """Nanoseconds from each text's arrival to its answer, first come first served.

        Fewer than texts when more than ``late`` of them took longer than ``bound_ns``.
        """
        request = {
            "do": "serve",
            "texts": texts,
            "arrivals_ns": arrivals_ns,
            "bound_ns": bound_ns,
            "late": late,
        }
        return tuple(self._ask(request, "latencies_ns")["latencies_ns"])

    def pin(self, core: int) -> None:
        """The thread that answers runs on this core alone, where the system has such orders."""
        with contextlib.suppress(AttributeError, OSError):  # not Linux; or a core just taken away
            os.sched_setaffinity(self._process.pid, {core})

    def peak_memory(self) -> int:
        """Bytes of memory that the child held at most."""
        return int(self._ask({"do": "memory"}, "peak_rss_bytes")["peak_rss_bytes"])

    def stop(self) -> None:
        """The child has ended by itself, or is killed when it does not."""
        with contextlib.suppress(OSError):
            self._send({"do": "stop"})
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)

    def _ask(self, request: Mapping[str, Any], *fields: str) -> dict[str, Any]:
        self._tell(request)
        return self._told(*fields)

    def _tell(self, request: Mapping[str, Any]) -> None:
        try:
            self._send(request)
        except OSError as error:
            raise StageError(self._post_mortem()) from error

    def _told(self, *fields: str) -> dict[str, Any]:
        answer = self._answer()
        if "error" in answer:
            raise StageError(f"{self.arm.name}: {answer['error']}")
        missing = [field for field in fields if field not in answer]
        if missing:
            raise StageError(f"{self.arm.name}: the benchmark worker left out {missing[0]!r}")
        return answer

    def _send(self, request: Mapping[str, Any]) -> None:
        stdin = self._process.stdin
        if stdin is None:
            raise OSError("the child was started without a pipe")
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()

    def _answer(self) -> dict[str, Any]:
        stdout = self._process.stdout
        if stdout is None or not select.select([stdout], [], [], _PATIENCE_S)[0]:
            raise StageError(f"{self.arm.name}: no answer within {_PATIENCE_S:.0f} s")
        line = stdout.readline()
        if not line:
            raise StageError(self._post_mortem())
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise StageError(
                f"{self.arm.name}: the benchmark worker answered {line[:80]!r}, which is not JSON"
            ) from error
        if not isinstance(answer, dict):
            raise StageError(f"{self.arm.name}: the benchmark worker answered {line[:80]!r}")
        return answer

    def _post_mortem(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        self._stderr.seek(max(0, self._stderr.seek(0, os.SEEK_END) - _TAIL))
        said = self._stderr.read().decode(errors="replace").strip()
        ended = f"ended with {self._process.returncode} in the middle of the benchmark"
        return f"{self.arm.name}: its process {ended}; it said: {said or 'nothing'}"


@contextlib.contextmanager
def running(arm: Arm, *, threads: int) -> Iterator[Child]:
    """A child of ``arm``, told by its environment to use ``threads`` threads; gone at the end.

    It lives in a session of its own, so that Ctrl-C reaches the parent alone, which kills it.
    """
    with _scratch_file() as stderr:
        process = _start(arm, threads, stderr)
        child = Child(arm, process, stderr)
        try:
            yield child
            child.stop()
        finally:
            process.kill()
            with contextlib.suppress(OSError):  # what it never read
                process.communicate()


def _scratch_file() -> IO[bytes]:
    """Where a child's last words go: a pipe that nobody reads would stop a talkative one."""
    with disk.translated("create a temporary file in", Path(tempfile.gettempdir())):
        return tempfile.TemporaryFile()


def _start(arm: Arm, threads: int, stderr: IO[bytes]) -> subprocess.Popen[str]:
    pinned = dict.fromkeys(_THREAD_VARIABLES, str(threads))
    try:
        return subprocess.Popen(
            arm.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, **pinned, **_QUIET},
            encoding="utf-8",
            start_new_session=True,
        )
    except OSError as error:
        raise StageError(f"{arm.name}: {arm.command[0]} could not be started: {error}") from error
