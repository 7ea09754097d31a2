"""transformers' own exporters: OnnxExporter, OnnxRuntimeQuantizer, and the runner for their result.

What an exporter leaves has a manifest, by which ``ExportedModel.from_pretrained`` opens it. The
runner behind it takes tensors and gives tensors, so tokens and batches are made by hand. For a
batch of one ``torch.export`` would fix the batch axis: two texts are what it is shown, as on the
documentation's page about exporters under "Dynamic shapes".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.peers.tool import Job, Setup, run

if TYPE_CHECKING:
    from transformers.exporters import OnnxConfig

BATCH = 16


def export(job: Job, config: OnnxConfig) -> None:
    """``job.out`` holds the graph, its manifest, the config and the tokenizer."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.exporters import OnnxExporter

    model = AutoModelForSequenceClassification.from_pretrained(job.checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)
    inputs = tokenizer(["Hello, world!", "Hi"], padding=True, return_tensors="pt")
    OnnxExporter().export(model, inputs, config).save_pretrained(job.out)
    tokenizer.save_pretrained(job.out)


def fp32(job: Job) -> None:
    """The documentation's first example."""
    from transformers.exporters import OnnxConfig

    export(job, OnnxConfig(dynamic=True))


def dynamic(job: Job) -> None:
    """int8 with the quantizer's defaults for dynamic quantization."""
    from transformers.exporters import OnnxConfig, OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer

    quantizer = OnnxRuntimeQuantizer(OnnxRuntimeDynamicConfig())
    export(job, OnnxConfig(dynamic=True, quantizer=quantizer))


def fused_dynamic(job: Job) -> None:
    """The same after fusions for the CPU; ``ort_fusions`` is a field of the config."""
    from transformers.exporters import OnnxConfig, OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer

    quantizer = OnnxRuntimeQuantizer(OnnxRuntimeDynamicConfig())
    export(job, OnnxConfig(dynamic=True, ort_fusions="cpu", quantizer=quantizer))


def misspelt(job: Job) -> None:
    """``quantiser`` is no field of the config."""
    from transformers.exporters import OnnxConfig, OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer

    quantizer = OnnxRuntimeQuantizer(OnnxRuntimeDynamicConfig())
    export(job, OnnxConfig(dynamic=True, quantiser=quantizer))


class Runner:
    """A text alone at its own length; many in batches as they come, padded to their longest."""

    def __init__(self, setup: Setup) -> None:
        import onnxruntime
        from transformers import AutoTokenizer
        from transformers.exporters import ExportedModel

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setup.threads
        self.max_length = setup.max_length  # harness
        self.tokenizer = AutoTokenizer.from_pretrained(setup.made)
        self.model = ExportedModel.from_pretrained(setup.made, session_options=options)
        self.names = self.model.config.id2label

    def answers(self, texts: Sequence[str]) -> list[int]:
        """The index of each text's label, from one batch."""
        inputs = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        return self.model(**inputs).logits.argmax(-1).tolist()

    def one(self, text: str) -> int:
        """The label's index."""
        return self.answers([text])[0]

    def many(self, texts: Sequence[str]) -> list[int]:
        """One index for each text."""
        batches = [texts[at : at + BATCH] for at in range(0, len(texts), BATCH)]
        return [answer for batch in batches for answer in self.answers(batch)]

    def label(self, answer: int) -> str:
        """Its name."""
        return self.names[answer]


class ForeignRunner(Runner):
    """The same runner on an ONNX file that transformers did not export.

    It has no manifest, so ``from_pretrained`` refuses it. The runner's class needs to know what
    the model returns: that much of a manifest is written here.
    """

    def __init__(self, setup: Setup) -> None:
        import onnxruntime
        import torch
        from transformers import AutoConfig, AutoTokenizer
        from transformers.exporters import ExportMetadata
        from transformers.exporters.metadata import record_output_structure
        from transformers.exporters.runners import OnnxModelRunner
        from transformers.modeling_outputs import SequenceClassifierOutput

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setup.threads
        self.max_length = setup.max_length  # harness
        self.tokenizer = AutoTokenizer.from_pretrained(setup.made)
        session = onnxruntime.InferenceSession(setup.made / setup.file, options)
        metadata = ExportMetadata()
        record_output_structure(metadata, SequenceClassifierOutput(logits=torch.empty(1)))
        self.model = OnnxModelRunner(metadata, session)
        self.names = AutoConfig.from_pretrained(setup.made).id2label


MAKERS = {
    "fp32": fp32,
    "dynamic": dynamic,
    "fused-dynamic": fused_dynamic,
    "misspelt": misspelt,
}
LOADERS = {"runner": Runner, "foreign": ForeignRunner}

if __name__ == "__main__":
    raise SystemExit(run(MAKERS, LOADERS))
