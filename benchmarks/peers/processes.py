"""Processes of the tools: how a model is made, what answers it gives, how a tool ends."""

from __future__ import annotations

import json
import shutil
import subprocess
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
    done = subprocess.run(
        command,
        input=json.dumps(list(texts)),
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    if done.returncode:
        raise StageError(_last(done.stderr) or f"it ended with {done.returncode}")
    labels: list[str] = json.loads(done.stdout.splitlines()[-1])
    if len(labels) != len(texts):
        raise StageError(f"{len(labels)} answers to {len(texts)} texts")
    return labels


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
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return 124, f"it did not end within {_PATIENCE_S} s"
    told = (done.stderr, done.stdout) if done.returncode else (done.stdout, done.stderr)
    return done.returncode, _last(told[0]) or _last(told[1])


def _last(text: str) -> str:
    return nowhere(text.strip()[-_TAIL:])


def _dashed(name: str) -> str:
    return name.replace("_", "-")
