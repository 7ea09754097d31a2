"""OnnxModels that are small enough to see through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgepipe.artifacts import GraphRecord, OnnxModel, Provenance
from tests.runtime.tiny_onnx import Tiny, token_ids, tokenizer

WEIGHTS = np.arange(6, dtype=np.float32).reshape(2, 3)


def graph(path: Path, *, external: str | None = None) -> Path:
    """``y = x @ WEIGHTS``; with ``external`` the weights lie in a file of that name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "matrix",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(WEIGHTS, "w")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if external is None:
        onnx.save(model, path)
    else:
        onnx.save(model, path, save_as_external_data=True, location=external, size_threshold=0)
    return path


def variant(
    folder: Path, precision: str = "fp32", *, external: bool = False, **changes: Any
) -> OnnxModel:
    """A committed OnnxModel; ``changes`` replace its fields."""
    graph(folder / "model.onnx", external="model.onnx_data" if external else None)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text(f'{{"name": "{name}"}}')
    (folder / "golden.jsonl").write_text('{"text": "x", "ids": [1], "logits": [0.5, 0.25]}\n')
    fields = {
        "task": "text-classification",
        "labels": ("no", "yes"),
        "max_length": 16,
        "pad_token_id": 0,
        "precision": precision,
        "graphs": {"model": GraphRecord(file="model.onnx", inputs=("x",), outputs=("y",))},
        "provenance": Provenance(source="hf://org/name@v1", licence="apache-2.0"),
    }
    return OnnxModel.model_validate({"path": folder, **fields, **changes}).commit()


def runnable(
    folder: Path, tiny: Tiny, precision: str = "fp32", golden: tuple[str, ...] = ("good film",)
) -> OnnxModel:
    """A committed OnnxModel that the runtime runs, with golden answers by numpy."""
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(tiny.onnx())
    tokenizer().save(str(folder / "tokenizer.json"))
    lines = [
        {"text": text, "ids": token_ids(text), "logits": tiny.logits(text).tolist()}
        for text in golden
    ]
    (folder / "golden.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return OnnxModel(
        path=folder,
        task="text-classification",
        labels=tiny.labels,
        max_length=16,
        precision=precision,
        graphs={"model": GraphRecord(file="model.onnx", inputs=tiny.inputs, outputs=("logits",))},
        provenance=Provenance(source="test"),
    ).commit()
