"""OnnxModel to int8 OnnxModel: products in integers, embedding tables too where they do no harm."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from edgepipe import disk
from edgepipe.artifacts import Dataset, OnnxModel
from edgepipe.bundle import manifest
from edgepipe.errors import StageError
from edgepipe.stage import Stage, Work

if TYPE_CHECKING:
    from edgepipe.graph.quantize_dynamic import DynamicSettings, Quantized

_GRAPH = "model"
_NORMAL_95 = 1.645
"""One-sided 95 % point of the normal distribution."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What is quantized, and the texts that judge it."""

    model: OnnxModel
    data: Dataset | None = None
    """Its validation split decides about embeddings; without it they are quantized."""


class Quantize(Stage[Inputs, OnnxModel]):
    """Quantize a float32 model; ``method`` says how. No calibration data, no timing.

    ``dynamic``: weights in int8 now, activations in uint8 by ranges taken at run time from each
    batch, so an answer depends on its batch mates.
    """

    inputs = Inputs
    makes = OnnxModel
    depends = frozenset({"cpu"})
    tools = ("onnx", "onnx-ir", "onnxruntime", "tokenizers")

    method: Literal["dynamic"] = "dynamic"
    per_channel: bool = True
    """One scale an output column instead of one a weight: closer, and 1-2 % slower."""
    embeddings: Literal["auto"] | bool = "auto"
    """Embedding tables too: most of a small model's bytes. ``auto`` asks the validation split."""
    max_embedding_flips: Annotated[float, Field(ge=0, le=1)] = 0.002
    """``auto`` keeps tables in float when they add more than this share of predictions to those
    that differ from the float model, with 95 % confidence."""
    texts: Annotated[int, Field(ge=1)] = 1000
    """Validation texts that ``auto`` asks, at most."""
    reduce_range: Literal["auto"] | bool = "auto"
    """Weights in 7 bits. On AVX2 and AVX512 without VNNI the sum of two 8-bit products overflows
    16 bits and is cut off; elsewhere a bit would be lost for nothing. ``auto`` looks at this CPU:
    say true when the model is to run on an older one."""

    def requires(self, inputs: Inputs) -> None:
        """Float32 and one graph."""
        model = inputs.model
        if model.precision != "fp32":
            raise StageError(f"the model is {model.precision} already; quantize starts from fp32")
        if set(model.graphs) != {_GRAPH}:
            raise StageError(f"quantize knows one graph {_GRAPH!r}, got {sorted(model.graphs)}")

    def run(self, inputs: Inputs, into: Path, work: Work) -> OnnxModel:
        """Quantize with tables or without; both first, where the data has to decide."""
        notes: dict[str, Any] = {}
        tables = self.embeddings
        if tables == "auto":
            tables, notes["embeddings"] = self._judge(inputs, work)
        made, report = self._make(inputs.model, into, embeddings=tables)
        notes = {"quantization": report.notes(), **notes, "source": inputs.model.notes}
        made = made.model_copy(update={"notes": notes})
        manifest.describe(made)
        return made

    def _make(
        self, model: OnnxModel, into: Path, *, embeddings: bool
    ) -> tuple[OnnxModel, Quantized]:
        """The int8 form of ``model`` in ``into``, and what became of its operators."""
        from edgepipe.convert.folders import copy_beside
        from edgepipe.graph.quantize_dynamic import quantize

        copy_beside(model, into)
        file = model.graphs[_GRAPH].file
        report = quantize(model.path / file, into / file, self._settings(embeddings=embeddings))
        return model.model_copy(update={"path": into, "digest": "", "precision": "int8"}), report

    def _settings(self, *, embeddings: bool) -> DynamicSettings:
        from edgepipe.graph.quantize_dynamic import DynamicSettings, saturates
        from edgepipe.runtime import cpu_features

        reduce = self.reduce_range
        return DynamicSettings(
            per_channel=self.per_channel,
            embeddings=embeddings,
            reduce_range=saturates(cpu_features()) if reduce == "auto" else reduce,
        )

    def _judge(self, inputs: Inputs, work: Work) -> tuple[bool, dict[str, Any]]:
        """Whether embedding tables are quantized, and the figures behind it."""
        if inputs.data is None:
            return True, {"quantized": True, "why": "no validation texts to judge by"}
        from edgepipe.measure.texts import sample

        texts = sample(inputs.data, "validation", self.texts, seed=0)
        work.progress(0, 1, f"asking {len(texts)} texts whether embeddings may be quantized")
        with disk.scratch(work.path, "embeddings-") as scratch:
            for name in ("with", "without"):
                made, _ = self._make(inputs.model, scratch / name, embeddings=name == "with")
                manifest.describe(made)
            float_, with_, without = (
                _predictions(folder, texts)
                for folder in (inputs.model.path, scratch / "with", scratch / "without")
            )
        return _verdict(with_ != float_, without != float_, self.max_embedding_flips)


def _verdict(with_: Any, without: Any, limit: float) -> tuple[bool, dict[str, Any]]:
    """Judge bool arrays ``[texts]``: predictions that differ from float with tables and without.

    Predictions near the border flip at the slightest change of rounding, so flips between the two
    int8 models say little; what counts is whether more of them leave the float model, and whether
    that excess is more than chance (paired, normal approximation of its 95 % lower bound).
    """
    import numpy as np

    excess = with_.astype(np.int8) - without.astype(np.int8)
    mean = float(excess.mean())
    low = mean - _NORMAL_95 * float(excess.std()) / float(np.sqrt(excess.size))
    quantized = low <= limit
    return quantized, {
        "quantized": quantized,
        "texts": int(excess.size),
        "flips_with": float(with_.mean()),
        "flips_without": float(without.mean()),
        "excess": mean,
        "excess_low": round(low, 6),
        "limit": limit,
    }


def _predictions(folder: Path, texts: list[str]) -> Any:
    """The index of the most likely label of every text, int64 ``[texts]``."""
    from edgepipe.runtime import load

    with load(folder) as classifier:
        return classifier.logits(texts, exact=True).argmax(axis=1)
