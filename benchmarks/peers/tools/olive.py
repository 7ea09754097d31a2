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
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peers.tool import Job, command, program, run

OLIVE = program("olive")
TASK = ("--task", "text-classification")
CPU = ("--device", "cpu", "--provider", "CPUExecutionProvider", "--exporter", "dynamo_exporter")
INT8 = ("--precision", "int8")
DYNAMIC = (*INT8, "--algorithm", "rtn", "--implementation", "ort")


def olive(action: str, source: Path, out: Path, *options: str) -> None:
    """One command has run. Telemetry is off, as its documentation says."""
    os.environ["OLIVE_DISABLE_TELEMETRY"] = "1"
    with TemporaryDirectory() as folder, chdir(folder):
        words = (OLIVE, action, "--model_name_or_path", source, *options, "--output_path", out)
        command(*words)


def ship(job: Job) -> None:
    """What a session needs besides the model; Olive's description of the model stays behind."""
    (job.out / "model_config.json").unlink(missing_ok=True)
    shutil.copy(job.checkpoint / "tokenizer.json", job.out)
    shutil.copy(job.checkpoint / "config.json", job.out)


def optimize(job: Job) -> None:
    """One command; int8 here is static, calibrated on wikitext from the Hub."""
    olive("optimize", job.checkpoint, job.out, *TASK, *CPU, *INT8)
    ship(job)


def capture(job: Job) -> None:
    """fp32."""
    olive("capture-onnx-graph", job.checkpoint, job.out, *TASK)
    ship(job)


def quantize(job: Job) -> None:
    """An ONNX file from the checkpoint, then dynamic int8 of it."""
    with TemporaryDirectory() as folder:
        graph = Path(folder)
        olive("capture-onnx-graph", job.checkpoint, graph, *TASK)
        olive("quantize", graph / "model.onnx", job.out, *DYNAMIC)
    ship(job)


def optimize_quantize(job: Job) -> None:
    """A fused ONNX file from the checkpoint, then dynamic int8 of it."""
    with TemporaryDirectory() as folder:
        graph = Path(folder)
        olive("optimize", job.checkpoint, graph, *TASK, *CPU)
        olive("quantize", graph / "model.onnx", job.out, *DYNAMIC)
    ship(job)


def quantize_checkpoint(job: Job) -> None:
    """One command on the checkpoint itself."""
    olive("quantize", job.checkpoint, job.out, *TASK, *INT8)
    ship(job)


def misspelt(job: Job) -> None:
    """``optimize`` with an option that does not exist."""
    olive("optimize", job.checkpoint, job.out, *TASK, *CPU, "--precison", "int8")


def quantize_only(job: Job) -> None:
    """An ONNX file instead of a checkpoint."""
    olive("quantize", next(job.checkpoint.rglob("*.onnx")), job.out, *DYNAMIC)


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
