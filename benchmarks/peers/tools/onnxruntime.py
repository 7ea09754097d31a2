"""onnxruntime's own quantization on a stock export of torch's: no tool in between.

Answered by ``plain``, which reads what is left here: one ``.onnx`` file, the tokenizer, the config.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.tool import Job, run


def export(job: Job, file: Path) -> None:
    """A batch of two, since ``torch.export`` fixes an axis of length one."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(job.checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)
    inputs = dict(tokenizer(["Hello, world!", "Hi"], padding=True, return_tensors="pt"))
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    shapes = dict.fromkeys(inputs, axes)
    torch.onnx.export(model, kwargs=inputs, f=file, dynamic_shapes=shapes, dynamo=True)
    model.config.save_pretrained(job.out)
    tokenizer.save_pretrained(job.out)


def fp32(job: Job) -> None:
    """The export alone."""
    export(job, job.out / "model.onnx")


def dynamic(job: Job) -> None:
    """With every default."""
    import tempfile  # harness

    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:  # harness
        file = Path(folder) / "model.onnx"  # harness
        export(job, file)
        quantize_dynamic(file, job.out / "model_quantized.onnx")


def dynamic_preprocessed(job: Job) -> None:
    """With what onnxruntime's documentation recommends before quantization."""
    import tempfile  # harness

    from onnxruntime.quantization import quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:  # harness
        file, prepared = Path(folder) / "model.onnx", Path(folder) / "prepared.onnx"
        export(job, file)
        quant_pre_process(file, prepared)
        quantize_dynamic(prepared, job.out / "model_quantized.onnx")


def dynamic_mended(job: Job) -> None:
    """Without the shapes in the exported graph.

    ``quantize_dynamic`` transposes the last product's weights and trips over the shape that they
    had. Its preprocessing would infer shapes anew, but fails on this graph itself.
    """
    import tempfile  # harness

    import onnx
    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:  # harness
        file = Path(folder) / "model.onnx"  # harness
        export(job, file)
        model = onnx.load(file)
        del model.graph.value_info[:]
        quantize_dynamic(model, job.out / "model_quantized.onnx")


def quantize_only(job: Job) -> None:
    """The checkpoint is a folder with an ONNX file."""
    from onnxruntime.quantization import quantize_dynamic

    file = next(job.checkpoint.rglob("*.onnx"))  # harness
    quantize_dynamic(file, job.out / "model_quantized.onnx")


def misspelt(job: Job) -> None:
    """``per_chanel`` is no argument."""
    import tempfile  # harness

    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:  # harness
        file = Path(folder) / "model.onnx"  # harness
        export(job, file)
        quantize_dynamic(file, job.out / "model_quantized.onnx", per_chanel=True)


MAKERS = {
    "fp32": fp32,
    "dynamic": dynamic,
    "dynamic-preprocessed": dynamic_preprocessed,
    "dynamic-mended": dynamic_mended,
    "quantize-only": quantize_only,
    "misspelt": misspelt,
}

if __name__ == "__main__":
    raise SystemExit(run(MAKERS, {}))
