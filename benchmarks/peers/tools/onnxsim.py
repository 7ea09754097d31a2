"""onnxsim: a torch export, then simplified and quantized by its command line.

Its README shows the flow as export, simplify, quantize, deploy. Its own export of a checkpoint
(``export_transformers_model``) needs optimum-onnx, which holds transformers below 4.58, so the
export is torch's. ``fused`` is the same scheme for onnxruntime alone: one operator where the
standard has three.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peers.tool import Job, command, program, run


def export(job: Job, file: Path) -> None:
    """``file`` is torch's export of the checkpoint, with a free batch and length."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(job.checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)
    inputs = dict(tokenizer(["Hello, world!", "Hi"], padding=True, return_tensors="pt"))
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    torch.onnx.export(
        model,
        kwargs=inputs,
        f=file,
        input_names=list(inputs),
        output_names=["logits"],
        dynamic_shapes=dict.fromkeys(inputs, axes),
        external_data=False,
    )


def simplify(job: Job, option: str) -> None:
    """``job.out`` holds the export, simplified and quantized."""
    with TemporaryDirectory() as folder:  # harness
        file = Path(folder, "model.onnx")  # harness
        export(job, file)
        command(program("onnxsim"), file, job.out / "model.onnx", option)
    shutil.copy(job.checkpoint / "tokenizer.json", job.out)
    shutil.copy(job.checkpoint / "config.json", job.out)


def dynamic(job: Job) -> None:
    """Standard ONNX operators."""
    simplify(job, "--dynamic-quantize")


def fused(job: Job) -> None:
    """With onnxruntime's own operator for the product and its scales."""
    simplify(job, "--dynamic-quantize-matmul-integer-to-float")


def misspelt(job: Job) -> None:
    """The main command with an option that does not exist."""
    simplify(job, "--dynamic-quantise")


def quantize_only(job: Job) -> None:
    """An ONNX file instead of a checkpoint."""
    file = next(job.checkpoint.rglob("*.onnx"))  # harness
    command(program("onnxsim"), file, job.out / "model.onnx", "--dynamic-quantize")


MAKERS = {
    "dynamic": dynamic,
    "fused": fused,
    "misspelt": misspelt,
    "quantize-only": quantize_only,
}

if __name__ == "__main__":
    raise SystemExit(run(MAKERS, {}))
