"""Olive's command line, from a checkpoint to an int8 ONNX file for the CPU.

``optimize`` is its page "How To Use optimize Command" with int8 and, for a text classifier, a torch
exporter: the default one, onnxruntime-genai's, is for generating models. ``quantize`` is its page
"Quantize": the table there has ONNX Dynamic for ONNX files, which ``capture-onnx-graph`` makes;
``optimize-quantize`` lets ``optimize`` make them, so that it fuses the graph first. From a
checkpoint itself ``olive quantize`` quantizes torch weights: ``quantize-checkpoint``.

Olive writes a cache below the working directory, so each command has a folder of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peers.tool import Job, command, program, run

OLIVE = program("olive")
FROM = "--model_name_or_path"
TO = "--output_path"
TASK = ("--task", "text-classification")
CPU = ("--device", "cpu", "--provider", "CPUExecutionProvider", "--exporter", "dynamo_exporter")
INT8 = ("--precision", "int8")
DYNAMIC = (*INT8, "--algorithm", "rtn", "--implementation", "ort")


@contextmanager
def in_scratch() -> Iterator[Path]:
    """An empty working directory; telemetry is off, as Olive's documentation says."""
    os.environ["OLIVE_DISABLE_TELEMETRY"] = "1"  # harness
    with TemporaryDirectory() as folder, chdir(folder):  # harness
        yield Path(folder)  # harness


def ship(job: Job) -> None:
    """What a session needs besides the model; Olive's description of the model stays behind."""
    (job.out / "model_config.json").unlink(missing_ok=True)  # harness
    shutil.copy(job.checkpoint / "tokenizer.json", job.out)
    shutil.copy(job.checkpoint / "config.json", job.out)


def optimize(job: Job) -> None:
    """One command; int8 here is static, calibrated on wikitext from the Hub."""
    with in_scratch():  # harness
        command(OLIVE, "optimize", FROM, job.checkpoint, *TASK, *CPU, *INT8, TO, job.out)
    ship(job)


def capture(job: Job) -> None:
    """fp32."""
    with in_scratch():  # harness
        command(OLIVE, "capture-onnx-graph", FROM, job.checkpoint, *TASK, TO, job.out)
    ship(job)


def quantize(job: Job) -> None:
    """An ONNX file from the checkpoint, then dynamic int8 of it."""
    with in_scratch() as fp32:  # harness
        command(OLIVE, "capture-onnx-graph", FROM, job.checkpoint, *TASK, TO, fp32)
        command(OLIVE, "quantize", FROM, fp32 / "model.onnx", *DYNAMIC, TO, job.out)
    ship(job)


def optimize_quantize(job: Job) -> None:
    """A fused ONNX file from the checkpoint, then dynamic int8 of it."""
    with in_scratch() as fp32:  # harness
        command(OLIVE, "optimize", FROM, job.checkpoint, *TASK, *CPU, TO, fp32)
        command(OLIVE, "quantize", FROM, fp32 / "model.onnx", *DYNAMIC, TO, job.out)
    ship(job)


def quantize_checkpoint(job: Job) -> None:
    """One command on the checkpoint itself."""
    with in_scratch():  # harness
        command(OLIVE, "quantize", FROM, job.checkpoint, *TASK, *INT8, TO, job.out)
    ship(job)


def misspelt(job: Job) -> None:
    """``optimize`` with an option that does not exist."""
    wrong = ("--precison", "int8")
    with in_scratch():  # harness
        command(OLIVE, "optimize", FROM, job.checkpoint, *TASK, *CPU, *wrong, TO, job.out)


def quantize_only(job: Job) -> None:
    """An ONNX file instead of a checkpoint."""
    file = next(job.checkpoint.rglob("*.onnx"))  # harness
    with in_scratch():  # harness
        command(OLIVE, "quantize", FROM, file, *DYNAMIC, TO, job.out)


MAKERS = {
    "optimize": optimize,
    "capture": capture,
    "quantize": quantize,
    "optimize-quantize": optimize_quantize,
    "quantize-checkpoint": quantize_checkpoint,
    "misspelt": misspelt,
    "quantize-only": quantize_only,
}

if __name__ == "__main__":
    raise SystemExit(run(MAKERS, {}))
