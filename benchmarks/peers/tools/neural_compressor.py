"""neural-compressor's static PT2E quantization, exported to ONNX by torch.

Its page "PyTorch Static Quantization" gives the four calls and "usually 100 samples" for
calibration. ``convert`` by itself leaves fp32 weights with a quantizer after each, for
``torch.compile`` to fold; it hands ``fold_quantize`` on to torchao, which stores int8 weights:
``folded``.
"""

from __future__ import annotations

import json
import shutil

from benchmarks.peers.tool import Job, run

SAMPLES = 100


def static(job: Job, *, fold: bool = False, misspell: bool = False) -> None:
    import torch
    from neural_compressor.torch.export import export
    from neural_compressor.torch.quantization import StaticQuantConfig, convert, prepare
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(job.checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)
    model.config.return_dict = False

