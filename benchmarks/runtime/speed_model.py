"""A bundle for measuring speed alone: random weights, so that its answers mean nothing.

    python benchmarks/runtime/speed_model.py --tokenizer artifacts/movie-reviews/bundle --into DIR

A BERT of 6 layers, 384 wide, that reads 256 tokens, unless told otherwise; exported and quantized
by the same code as a pipeline's, with the tokenizer of another bundle.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgepipe import disk
from edgepipe.artifacts import GraphRecord, OnnxModel, Provenance
from edgepipe.bundle import layout, manifest
from edgepipe.convert import exporter
from edgepipe.graph import store
from edgepipe.graph.quantize_dynamic import DynamicSettings, quantize
from edgepipe.graph.transforms import Refused, sum_before_layer_norm

if TYPE_CHECKING:
    from transformers import BertForSequenceClassification

_LABELS = ("negative", "positive")
_HEAD = 32
_GRAPH = "model.onnx"


def model(given: argparse.Namespace, vocabulary: int) -> BertForSequenceClassification:
    """BERT with random weights, the same ones every time."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=given.width,
        num_hidden_layers=given.layers,
        num_attention_heads=given.width // _HEAD,
        intermediate_size=4 * given.width,
        max_position_embeddings=given.max_length,
        id2label=dict(enumerate(_LABELS)),
        attn_implementation="eager",
    )
    return BertForSequenceClassification(config).eval()


def fp32(given: argparse.Namespace, into: Path) -> OnnxModel:
    """The export, with ``Sum`` before each LayerNormalization as ``optimize`` would choose it."""
    from tokenizers import Tokenizer

    vocabulary = Tokenizer.from_file(str(given.tokenizer / "tokenizer.json")).get_vocab_size()
    made = model(given, vocabulary)
    made.save_pretrained(into)
    (into / "model.safetensors").unlink()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        disk.copy_file(given.tokenizer / name, into / name)
    store.write(exporter.export(made), into / _GRAPH)
    rewritten = sum_before_layer_norm(into / _GRAPH)
    if not isinstance(rewritten, Refused):
        store.write(rewritten.graph, into / _GRAPH)
    graph = GraphRecord(file=_GRAPH, inputs=exporter.input_names(made), outputs=("logits",))
    return _committed(
        OnnxModel(
            path=into,
            task="text-classification",
            labels=_LABELS,
            max_length=given.max_length,
            graphs={"model": graph},
            model_type="bert",
            provenance=Provenance(source="random weights, for speed alone"),
        )
    )


def int8(source: OnnxModel, into: Path) -> OnnxModel:
    """``source`` with dynamic int8 weights, one scale an output column."""
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        disk.copy_file(source.path / name, into / name)
    quantize(source.path / _GRAPH, into / _GRAPH, DynamicSettings())
    return _committed(source.model_copy(update={"path": into, "precision": "int8", "digest": ""}))


def _committed(made: OnnxModel) -> OnnxModel:
    manifest.describe(made)
    return made.commit()


def main() -> None:
    """Build and lay out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, required=True, help="a bundle")
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--max-length", type=int, default=256)
    given = parser.parse_args()
    with disk.scratch(given.into.parent, ".speed-") as work:
        folders = [disk.make_folder(work / name) for name in ("fp32", "int8", "bundle")]
        full = fp32(given, folders[0])
        small = int8(full, folders[1])
        layout.assemble({"int8": small, "fp32": full}, {}, folders[2], name="speed", data="")
        if not disk.publish(folders[2], given.into):
            raise SystemExit(f"{given.into} exists already")


if __name__ == "__main__":
    main()
