"""neural-compressor's static PT2E quantization on the CPU, exported to ONNX by torch.

Its page "PyTorch Static Quantization" gives the calls, and says that "usually preparing 100 samples
are enough for calibration". ``convert`` as the page has it keeps fp32 weights and quantizes them in
the graph, for ``torch.compile`` to fold; its keyword ``fold_quantize`` does not reach torchao and
leaves the same file. A text is a calibration batch.
"""

from __future__ import annotations

import json
import shutil
from itertools import islice
from typing import TYPE_CHECKING

from benchmarks.peers.tool import Job, run

if TYPE_CHECKING:
    from neural_compressor.torch.quantization import StaticQuantConfig

SAMPLES = 100
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def quantize(job: Job, config: StaticQuantConfig) -> None:
    """``job.out`` holds the model calibrated and converted under ``config``."""
    import torch
    from neural_compressor.torch.export import export
    from neural_compressor.torch.quantization import convert, prepare
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(job.checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)
    inputs = tokenizer(["Hello, world!", "Hi"], padding=True, return_tensors="pt")
    names = [name for name in INPUTS if name in inputs]  # harness
    example = tuple(inputs[name] for name in names)
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    exported = export(model, example, dynamic_shapes=dict.fromkeys(names, axes))
    prepared = prepare(exported, config)
    with job.texts.open() as lines, torch.no_grad():
        for line in islice(lines, SAMPLES):
            inputs = tokenizer(
                json.loads(line)["text"],
                truncation=True,
                max_length=job.max_length,
                return_tensors="pt",
            )
            prepared(*(inputs[name] for name in names))
    torch.onnx.export(
        convert(prepared),
        example,
        job.out / "model.onnx",
        input_names=names,
        output_names=["logits"],
        dynamic_shapes=(axes,) * len(names),
        external_data=False,
    )
    shutil.copy(job.checkpoint / "tokenizer.json", job.out)
    shutil.copy(job.checkpoint / "config.json", job.out)


def static(job: Job) -> None:
    """The page's call, with the defaults of its config."""
    from neural_compressor.torch.quantization import StaticQuantConfig

    quantize(job, StaticQuantConfig())


def misspelt(job: Job) -> None:
    """The same with a keyword that does not exist."""
    from neural_compressor.torch.quantization import StaticQuantConfig

    quantize(job, StaticQuantConfig(act_algoritm="minmax"))


MAKERS = {"static": static, "misspelt": misspelt}

if __name__ == "__main__":
    raise SystemExit(run(MAKERS, {}))
