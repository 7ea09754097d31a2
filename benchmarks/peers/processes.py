"""Processes of the tools: how a model is made, what answers it gives, how a tool ends."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.environments import Built, nowhere
from benchmarks.peers.lineup import Arm, Recipe, Trial
from benchmarks.peers.records import Ending, Made
from benchmarks.peers.tool import Job
from edgepipe import disk
from edgepipe.errors import StageError
from edgepipe.measure.child import Arm as Worker

_PATIENCE_S = 3600
_TAIL = 600
_MODELS = (".onnx", ".onnx_data", ".data", ".safetensors", ".bin", ".pt")


def words(built: Built, tool: str, do: str, how: str, **options: str | int | Path) -> list[str]:
    """A command that ``benchmarks.peers.tool`` understands, in a tool's environment."""
    given = [word for name, value in options.items() for word in (f"--{_dashed(name)}", str(value))]
    return [str(built.python), "-P", "-m", f"benchmarks.peers.tools.{tool}", do, how, *given]


def make(recipe: Recipe, model: str, built: Built, job: Job, lines: int) -> Made:
    """``job.out`` holds what ships, and nothing else; a failure is in the record."""
    shutil.rmtree(job.out, ignore_errors=True)
    job.out.mkdir(parents=True)
    begin = time.monotonic()
    code, said = _run(_job(built, recipe.tool, recipe.how, job))
    seconds = time.monotonic() - begin
    made = code == 0 and bool(found(job.out))
    nothing = f"it ended with {code} and left no model; {said or 'it said nothing'}"
    return Made(
        recipe=recipe.name,
        model=model,
        call=recipe.call,
        exit_code=code,
        seconds=seconds,
        bytes=disk.size(job.out),
        lines=lines,
        said="" if made else nothing if code == 0 or not said else said,
    )


def ending(trial: Trial, built: Built, job: Job) -> Ending:
    """How a tool ended in a folder of its own, and what it left there."""
    shutil.rmtree(job.out, ignore_errors=True)
    job.out.mkdir(parents=True)
    code, said = _run(_job(built, trial.tool, trial.how, job))
    return Ending(
        tool=trial.tool,
        what=trial.what,
        call=trial.call,
        exit_code=code,
        left=tuple(found(job.out)),
        said=said.splitlines()[-1] if said else "",
    )


def answers(
    arm: Arm, built: Built, options: dict[str, str | int | Path], texts: Sequence[str]
) -> list[str]:
    """The label's name for every text; StageError with the last words of a process that failed."""
    command = words(built, arm.tool, "answer", arm.load, **options)
    code, out, said = call(command, json.dumps(list(texts)))
    if code:
        raise StageError(_last(said) or f"it ended with {code}")
    try:
        labels: list[str] = json.loads(out.splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise StageError(f"it answered {_last(out)!r}, which is no list of labels") from error
    if len(labels) != len(texts):
        raise StageError(f"{len(labels)} answers to {len(texts)} texts")
    return labels


def call(
    command: Sequence[str], given: str = "", folder: Path | None = None
) -> tuple[int, str, str]:
    """Exit code, output and errors of a process that reads ``given`` and works in ``folder``.

    Nothing of it is left running, whatever ends this call: it and what it started have a process
    group of their own, which is killed at the end. After an hour that ends it, too, with code 124.
    """
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            out, said = process.communicate(given, _PATIENCE_S)
        except subprocess.TimeoutExpired:
            return 124, "", f"it did not end within {_PATIENCE_S} s"
        finally:
            with contextlib.suppress(ProcessLookupError):  # nothing is left of it
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, said


def worker(arm: Arm, built: Built, options: dict[str, str | int | Path], ships: int) -> Worker:
    """The arm as the project's own measuring code starts it."""
    return Worker(
        arm.name, tuple(words(built, arm.tool, "serve", arm.load, **options)), bytes=ships
    )


def corrupted(source: Path, target: Path) -> Path:
    """``target``: a copy of a model's folder whose weights and graphs end half-way."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    for name in found(target):
        path = target / name
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
    return target


def found(folder: Path) -> list[str]:
    """Names of files that hold a model, below a folder."""
    return [name.as_posix() for name in disk.files_under(folder) if name.suffix in _MODELS]


def _job(built: Built, tool: str, how: str, job: Job) -> list[str]:
    return words(
        built,
        tool,
        "make",
        how,
        checkpoint=job.checkpoint,
        out=job.out,
        texts=job.texts,
        max_length=job.max_length,
    )


def _run(command: Sequence[str]) -> tuple[int, str]:
    """Exit code and last words of a process.

    Of its errors, or, where it says that all is well, of its output.
    """
    with tempfile.TemporaryDirectory() as folder:  # some write where they stand
        code, out, said = call(command, folder=Path(folder))
    first, other = (said, out) if code else (out, said)
    return code, _last(first) or _last(other)


def _last(text: str) -> str:
    return nowhere(text.strip()[-_TAIL:])


def _dashed(name: str) -> str:
    return name.replace("_", "-")
