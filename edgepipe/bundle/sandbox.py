"""A foreign bundle opened in a child process that may die, hang or swell without harm.

The child (``edgepipe.bundle.child``) has limits of address space, CPU time and open files, can
write no byte to a file, gets a bare environment (no secrets of the parent's), and is killed with
its process group when its time is over. Whatever becomes of it is a BundleError here.

This contains models that crash, spin or hoard, by mistake or on purpose. It is no jail for code: a
program that took over the child would still read what its user may read, has the network, could
make empty files and remove others, and could leave its process group and live on. The limit of
memory holds on Linux; ``WARNING`` says so elsewhere, and on Windows only time is limited.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from edgepipe.bundle import contained, documents
from edgepipe.bundle.contained import Ended
from edgepipe.bundle.examine import Examined
from edgepipe.bundle.printable import printable
from edgepipe.errors import BundleError, EdgepipeError, StageError, UsageError
from edgepipe.runtime.verify import read_manifest

MIB = 1 << 20
BASE_MIB = 1024
"""Measured: onnxruntime takes 180 MiB of address space to start with, onnx and pydantic 250."""
MIB_PER_MIB = 5
"""Of the largest file. Measured on a float32 graph of 70 MB: 2.7 to run it, 1.9 to parse it."""
SECONDS = 120
CHILD = (sys.executable, "-I", "-B", "-X", "utf8", "-m", "edgepipe.bundle.child")
WARNING = "" if sys.platform == "linux" else "this system may not limit memory: only time is sure"
_KEPT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")
_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Every further thread would reserve address space for its stack and its heap
    "MALLOC_ARENA_MAX": "2",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
}
_OUT_OF_MEMORY = (
    "MemoryError",  # Python
    "bad_alloc",  # C++
    "memory allocation of",  # Rust
    "Cannot allocate memory",  # the C library
    "failed to map segment",  # its loader
)
"""Last words for want of memory."""
_ERRORS: dict[str, type[EdgepipeError]] = {"BundleError": BundleError, "UsageError": UsageError}
_TAIL = 300
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Limits:
    """What one child may take."""

    memory: int | None = None
    """MiB of address space; None: 1024 and five times the largest graph or file of weights, and
    half of the machine's memory at most."""
    seconds: int = SECONDS
    """By the clock, and of CPU time."""

    def memory_for(self, folder: Path) -> int:
        """MiB for a child that opens the bundle at ``folder``.

        Unless they were given, only files that the manifest lists count; errors as
        ``runtime.verify.read_manifest``.
        """
        if self.memory is not None:
            return self.memory
        sizes = (
            _plain_bytes(folder / name)
            for name in read_manifest(folder).files
            if documents.is_graph_or_weights(name)
        )
        wanted = BASE_MIB + MIB_PER_MIB * (max(sizes, default=0) // MIB + 1)
        return min(wanted, max(BASE_MIB, _machine_mib() // 2))


def _plain_bytes(path: Path) -> int:
    """Size of a plain file; nothing when it is none, for then the child refuses it."""
    try:
        found = path.lstat()
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _machine_mib() -> int:
    """Physical memory; no bound where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MIB
    except (AttributeError, ValueError, OSError):
        return sys.maxsize


class Replayed(BaseModel):
    """How far a variant lies from the golden answers, or why it cannot run here."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    difference: float = 0.0
    skipped: str = ""


class _Answer(BaseModel):
    """What the child wrote: one of result, error and out_of_memory."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    result: dict[str, Any] | None = None
    error: str = ""
    kind: str = ""
    """Of the error: the name of its class."""
    out_of_memory: bool = False


def compare(folder: Path, limits: Limits) -> int:
    """Every file of the bundle is as its manifest says, and there is no other; how many."""
    return _typed(folder, _Compared, ask("compare", folder, limits)).files


def examine(folder: Path, limits: Limits) -> Examined:
    """What ``edgepipe.bundle.examine`` finds."""
    return _typed(folder, Examined, ask("examine", folder, limits))


def authenticate(folder: Path, public_key: Path, limits: Limits) -> None:
    """``model.sig`` was made with that key's other half over every file of the bundle."""
    ask("authenticate", folder, limits, {"public_key": str(public_key.resolve())})


def replay(folder: Path, variant: str, limits: Limits) -> Replayed:
    """The variant gives its golden answers on this CPU, within its tolerance."""
    return _typed(folder, Replayed, ask("replay", folder, limits, {"variant": variant}))


class _Compared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    files: int


def ask(
    job: str,
    folder: Path,
    limits: Limits,
    arguments: Mapping[str, str] | None = None,
    *,
    command: Sequence[str] = CHILD,
) -> dict[str, Any]:
    """The result of one of the child's jobs, done on the bundle at ``folder``.

    Raises BundleError when the child refuses it, dies, takes too much or answers nonsense, and what
    the child raises when the call was wrong or something is not installed.
    """
    memory = limits.memory_for(folder)
    request = {
        "job": job,
        "arguments": {"folder": str(folder.resolve()), **(arguments or {})},
        "memory": memory * MIB,
        "seconds": limits.seconds,
    }
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    ended = contained.run((*command, json.dumps(request)), {**kept, **_ENVIRONMENT}, limits.seconds)
    refusal = _refusal(ended, limits.seconds, memory)
    if refusal:
        raise BundleError(f"{folder}: refused: {refusal}")
    answer = _answer(folder, ended.output)
    if answer.out_of_memory:
        raise BundleError(f"{folder}: refused: {_too_large(memory)}")
    if answer.error:
        raise _raised(answer)
    if answer.result is None:
        raise _nonsense(folder)
    return answer.result


def _refusal(ended: Ended, seconds: int, memory: int) -> str:
    """Why nothing that the child said counts; empty when it ended well."""
    if ended.output is None or ended.noise is None:
        return "it made the process that opened it write without end"
    words = ended.noise.decode(errors="replace").strip()[-_TAIL:]
    if ended.late or ended.signal == "SIGXCPU":
        return f"took more than {seconds} s; give it more with --timeout if you trust it"
    if ended.code and any(word in words for word in _OUT_OF_MEMORY):
        return _too_large(memory)
    if ended.signal:
        return f"the runtime died ({ended.signal})"
    return f"the process that opened it failed: {printable(words)}" if ended.code else ""


def _too_large(memory: int) -> str:
    return f"needs more than {memory} MiB; give it more with --memory if you trust it"


def _answer(folder: Path, said: bytes | None) -> _Answer:
    try:
        return _Answer.model_validate_json(said or b"")
    except ValidationError as error:
        raise _nonsense(folder) from error


def _typed(folder: Path, kind: type[M], result: dict[str, Any]) -> M:
    try:
        return kind.model_validate_json(json.dumps(result))
    except ValueError as error:  # ValidationError is one
        raise _nonsense(folder) from error


def _nonsense(folder: Path) -> BundleError:
    return BundleError(f"{folder}: refused: the process that opened it gave an answer of no sense")


def _raised(answer: _Answer) -> EdgepipeError:
    """What the child raised on purpose. Its words may come from the bundle."""
    message = "\n".join(printable(line) for line in answer.error.split("\n"))
    return _ERRORS.get(answer.kind, StageError)(message)
