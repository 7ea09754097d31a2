"""Graphs built by hand: an encoder in miniature, and the smallest graphs that show one thing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from edgepipe.artifacts import Dataset, GraphRecord, OnnxModel, Provenance, SplitRecord
from edgepipe.bundle import manifest

_WORDS = "a good bad film the very plot ok it was"
WORDS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", *_WORDS.split())
WIDTH = 32
LABELS = ("negative", "positive")
_ENCODER = """
<ir_version: 10, opset_import: ["" : 20]>
encoder (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask)
  => (float[batch, 2] logits)
{
  words = Gather (table, input_ids)
  embedded = LayerNormalization <axis = -1> (words, gain, shift)
  hidden = MatMul (embedded, first)
  biased = Add (hidden, bias)
  active = Gelu (biased)
  back = MatMul (active, second)
  residual = Add (back, embedded)
  normed = LayerNormalization <axis = -1> (residual, gain, shift)
  kept = Cast <to = 1> (attention_mask)
  axis = Constant <value_ints = [2]> ()
  column = Unsqueeze (kept, axis)
  masked = Mul (normed, column)
  one = Constant <value_ints = [1]> ()
  total = ReduceSum <keepdims = 0> (masked, one)
  count = ReduceSum <keepdims = 1> (kept, one)
  mean = Div (total, count)
  logits = Gemm <transB = 1> (mean, head, offset)
}
"""


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = {
        "table": (len(WORDS), WIDTH), "first": (WIDTH, 2 * WIDTH), "bias": (2 * WIDTH,),
        "second": (2 * WIDTH, WIDTH), "shift": (WIDTH,), "head": (2, WIDTH), "offset": (2,),
    }  # fmt: skip
    drawn = {name: random.normal(size=shape) / 4 for name, shape in shapes.items()}
    return {n: a.astype(np.float32) for n, a in {**drawn, "gain": 1 + drawn["shift"]}.items()}


def encoder(seed: int = 0) -> onnx.ModelProto:
    """Embedding, one feed-forward block with a residual, mean over unmasked tokens, two logits."""
    return filled(_ENCODER, weights(seed))


def filled(text: str, arrays: dict[str, np.ndarray]) -> onnx.ModelProto:
    """A graph in ONNX text with its free names bound to ``arrays``."""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in arrays.items())
    return model


def saved(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


def product(weight: np.ndarray, opset: int = 20) -> onnx.ModelProto:
    """``y = x @ weight``."""
    rows, columns = weight.shape
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "product")],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", rows])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", columns])],
        [numpy_helper.from_array(weight, "w")],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def feed(seed: int = 0, batch: int = 3, length: int = 7) -> dict[str, np.ndarray]:
    """Random tokens; every row but the first is padded on the right."""
    random = np.random.default_rng(seed)
    ids = random.integers(4, len(WORDS), (batch, length))
    mask = np.ones_like(ids)
    for row in range(1, batch):
        mask[row, -row:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def run(path: Path, given: dict[str, np.ndarray], *, optimized: bool = False) -> np.ndarray:
    """The first output, by onnxruntime with its optimizations off unless asked."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, given)[0]


def session_ops(path: Path, disabled: tuple[str, ...] = ()) -> list[str]:
    """Operators that a plain session really runs, after its own fusions."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path.with_suffix(".optimized.onnx"))
    ort.InferenceSession(
        path, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(disabled)
    )
    return [node.op_type for node in onnx.load(path.with_suffix(".optimized.onnx")).graph.node]


def graph_ops(graph: ir.Model | onnx.ModelProto) -> list[str]:
    proto = graph if isinstance(graph, onnx.ModelProto) else ir.to_proto(graph)
    return [node.op_type for node in proto.graph.node]


def write_tokenizer(folder: Path) -> None:
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))


def onnx_model(folder: Path, proto: onnx.ModelProto | None = None) -> OnnxModel:
    """An encoder as a committed OnnxModel that the runtime loads."""
    folder.mkdir()
    saved(proto or encoder(), folder / "model.onnx")
    write_tokenizer(folder)
    (folder / "golden.jsonl").write_text('{"text": "a film"}\n')
    graph = GraphRecord(
        file="model.onnx", inputs=("input_ids", "attention_mask"), outputs=("logits",)
    )
    model = OnnxModel(
        path=folder, task="text-classification", labels=LABELS, max_length=16, opset=20,
        graphs={"model": graph}, provenance=Provenance(source="toy"), notes={"made": "by hand"},
    )  # fmt: skip
    manifest.describe(model)
    return model.commit()


def texts(count: int = 60, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS[4:], random.integers(1, 12))) for _ in range(count)]


def dataset(folder: Path, count: int = 60) -> Dataset:
    """Random texts, a validation split alone."""
    folder.mkdir()
    rows = [json.dumps({"text": text, "label": 0}) for text in texts(count)]
    (folder / "validation.jsonl").write_text("\n".join(rows) + "\n")
    split = SplitRecord(rows=count, label_counts=(count, 0))
    return Dataset(path=folder, labels=LABELS, splits={"validation": split}).commit()
