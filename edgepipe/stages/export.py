"""Checkpoint to OnnxModel: float32, with proof that the graph answers as torch does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from edgepipe import disk
from edgepipe.artifacts import Checkpoint, Dataset, GraphRecord, OnnxModel
from edgepipe.bundle import manifest
from edgepipe.errors import StageError
from edgepipe.stage import Stage, Work

if TYPE_CHECKING:
    import onnx_ir

    from edgepipe.convert.feeds import Ids

GRAPH = "model.onnx"
GOLDEN = "golden.jsonl"
_GOLDEN_TEXTS = 16
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
_TEXTS = (
    "It works.",
    "A short text says little, and yet it has to be read to the end.",
    "Nobody expected the second half of the film to be so much better than the first one was.",
    "The plot is thin, the jokes are old, and still the whole cinema laughed from start to end.",
)
"""For parity where no data is given: any text serves, as long as lengths differ."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What is exported, and the texts that prove it."""

    checkpoint: Checkpoint
    data: Dataset | None = None
    """Its validation split; without it a few built-in sentences serve."""


class Export(Stage[Inputs, OnnxModel]):
    """Export a fine-tuned checkpoint, or fail with the figure by which it differs from torch."""

    inputs = Inputs
    makes = OnnxModel
    tools = (
        "torch", "transformers", "tokenizers", "onnx", "onnx-ir", "onnxscript", "onnxruntime",
    )  # fmt: skip

    opset: Annotated[int, Field(ge=17, le=23)] = 20
    """20 is the first with Gelu as one operator. Below 17 the exporter silently makes 18."""
    attention: Literal["auto", "eager", "sdpa"] = "auto"
    """``auto`` is eager: faster on CPUs. ``sdpa`` is refused for families without it."""
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    """Largest error against torch, as a share of the largest logit."""

    def requires(self, inputs: Inputs) -> None:
        """Proof needs texts."""
        if inputs.data is not None and not inputs.data.splits["validation"].rows:
            raise StageError("the validation split is empty, and an export is proven on its texts")

    def run(self, inputs: Inputs, into: Path, work: Work) -> OnnxModel:
        """Trace, prove, and write what torch answered for a few texts."""
        from edgepipe.convert import exporter, parity
        from edgepipe.convert.feeds import feeds
        from edgepipe.graph import store

        checkpoint = inputs.checkpoint
        texts = self._texts(inputs.data)
        rows = _rows(checkpoint, texts)
        work.progress(0, 2, f"exporting {checkpoint.model_type}")
        model = exporter.load(checkpoint.path, self.attention)
        graph = exporter.export(model, opset=self.opset)
        store.write(graph, into / GRAPH)
        store.check(into / GRAPH)
        work.progress(1, 2, "comparing with torch")
        names = exporter.input_names(model)
        pad = exporter.pad_token_id(model)
        batches = feeds(rows, names, pad=pad, max_length=checkpoint.max_length)
        proof = parity.prove(into / GRAPH, model, batches, tolerance=self.tolerance)
        _copy_texts(checkpoint.path, into)
        _write_golden(into, model, texts, rows, names)
        made = self._record(checkpoint, into, graph, pad)
        made = made.model_copy(update={"notes": {**made.notes, "parity": proof.notes()}})
        manifest.describe(made)
        return made

    def _texts(self, data: Dataset | None) -> list[str]:
        from edgepipe.measure.texts import sample

        return list(_TEXTS) if data is None else sample(data, "validation", _GOLDEN_TEXTS, seed=0)

    def _record(
        self, checkpoint: Checkpoint, into: Path, graph: onnx_ir.Model, pad: int
    ) -> OnnxModel:
        from edgepipe.graph.store import op_counts, signature

        takes, gives = signature(graph)
        counts = op_counts(graph)
        return OnnxModel(
            path=into,
            task=checkpoint.task,
            labels=checkpoint.labels,
            max_length=checkpoint.max_length,
            pad_token_id=pad,
            graphs={"model": GraphRecord(file=GRAPH, inputs=takes, outputs=gives)},
            model_type=checkpoint.model_type,
            opset=self.opset,
            provenance=checkpoint.provenance,
            notes={"nodes": sum(counts.values()), "operators": counts},
        )

    def ensures(self, made: OnnxModel) -> None:
        """The graph gives one logit a label."""
        from edgepipe.graph import store

        found = store.dimensions(store.read(made.path / GRAPH).graph.outputs[0])[-1]
        if found != len(made.labels):
            raise StageError(f"the graph gives {found} logits for {len(made.labels)} labels")


def _rows(checkpoint: Checkpoint, texts: Sequence[str]) -> list[Ids]:
    """Token ids of every text, special tokens included, cut to the checkpoint's length."""
    import numpy as np

    from edgepipe.training.encode import encode, plain_tokenizer

    encoded = encode(texts, plain_tokenizer(checkpoint.path), checkpoint.max_length)
    return [encoded[place].astype(np.int64) for place in range(len(encoded))]


def _copy_texts(source: Path, into: Path) -> None:
    """What Hugging Face tools and the runtime read beside the graph."""
    for name in ("config.json", *_TOKENIZER):
        if (source / name).is_file():
            disk.copy_file(source / name, into / name)


def _write_golden(
    into: Path, model: Any, texts: Sequence[str], rows: Sequence[Ids], names: Sequence[str]
) -> None:
    """``golden.jsonl``: text, token ids and torch's logits at exact length and batch 1."""
    from edgepipe.convert.golden import answers

    lines = [
        json.dumps({"text": text, "ids": ids.tolist(), "logits": logits}, ensure_ascii=False)
        for text, ids, logits in zip(texts, rows, answers(model, rows, names), strict=True)
    ]
    disk.write_text(into / GOLDEN, "\n".join(lines) + "\n")
