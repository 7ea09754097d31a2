"""sentence-transformers' ONNX backend: optimum's ORTModel behind ``predict`` or ``encode``.

By its documentation, "Speeding up Inference" of cross encoders: ``backend="onnx"`` exports a local
checkpoint, ``save_pretrained`` keeps the export, and the helpers write an optimized or quantized
file beside it, which is then asked for by its name. Without the export nothing else needs to ship.

``CrossEncoder.predict`` answers one text given as a string, but takes a list of strings for one
pair, and refuses lists of one string: many texts go through it one by one. ``encode`` is where the
library batches single texts: 32 at a time, the longest first. The page "Creating Custom Models"
and the reference of ``Transformer`` show how a model is put together from modules: here from one
that hands the classifier's logits to ``encode`` as it would an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.peers.tool import Job, Setup, run

if TYPE_CHECKING:
    import numpy as np


def avx512_vnni(job: Job) -> None:
    from sentence_transformers import CrossEncoder, export_dynamic_quantized_onnx_model

    model = CrossEncoder(str(job.checkpoint), backend="onnx")
    model.save_pretrained(str(job.out))
    export_dynamic_quantized_onnx_model(model, "avx512_vnni", str(job.out))
    (job.out / "onnx" / "model.onnx").unlink()  # harness


def o3(job: Job) -> None:
    from sentence_transformers import CrossEncoder, export_optimized_onnx_model

    model = CrossEncoder(str(job.checkpoint), backend="onnx")
    model.save_pretrained(str(job.out))
    export_optimized_onnx_model(model, "O3", str(job.out))
    (job.out / "onnx" / "model.onnx").unlink()  # harness


def misspelt(job: Job) -> None:
    from sentence_transformers import CrossEncoder, export_dynamic_quantized_onnx_model

    model = CrossEncoder(str(job.checkpoint), backend="onnx")
    model.save_pretrained(str(job.out))
    export_dynamic_quantized_onnx_model(
        model, quantisation_config="avx512_vnni", model_name_or_path=str(job.out)
    )
    (job.out / "onnx" / "model.onnx").unlink()  # harness


def onnx_options(setup: Setup) -> dict[str, Any]:
    from onnxruntime import SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = setup.threads
    provider = "CPUExecutionProvider"  # harness
    return {"provider": provider, "file_name": setup.file, "session_options": options}  # harness


class Predict:
    """Texts one by one, since a list of them is taken for a pair."""

    def __init__(self, setup: Setup) -> None:
        from sentence_transformers import CrossEncoder

        self.model = CrossEncoder(
            str(setup.made),
            max_length=setup.max_length,
            device="cpu",
            model_kwargs=onnx_options(setup),
            backend="onnx",
        )
        self.names = self.model.config.id2label

    def one(self, text: str) -> np.ndarray:
        return self.model.predict(text)

    def many(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [self.model.predict(text) for text in texts]

    def label(self, answer: np.ndarray) -> str:
        return self.names[int(answer.argmax())]


class Encode:
    """Texts in batches of 32 by length, each batch padded to its longest."""

    def __init__(self, setup: Setup) -> None:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Transformer

        classifier = Transformer(
            str(setup.made),
            transformer_task="sequence-classification",
            model_kwargs=onnx_options(setup),
            processor_kwargs={"model_max_length": setup.max_length},
            backend="onnx",
            modality_config={"text": {"method": "forward", "method_output_name": "logits"}},
            module_output_name="sentence_embedding",
        )
        self.model = SentenceTransformer(modules=[classifier], device="cpu")
        self.names = classifier.model.config.id2label

    def one(self, text: str) -> np.ndarray:
        return self.model.encode(text)

    def many(self, texts: Sequence[str]) -> np.ndarray:
        return self.model.encode(texts)

    def label(self, answer: np.ndarray) -> str:
        return self.names[int(answer.argmax())]


MAKERS = {"avx512_vnni": avx512_vnni, "O3": o3, "misspelt": misspelt}
LOADERS = {"cross-encoder": Predict, "encode": Encode}

if __name__ == "__main__":
    raise SystemExit(run(MAKERS, LOADERS))
