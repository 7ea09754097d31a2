"""optimum-onnx: its command line makes the models, ORTModel in transformers' pipeline answers.

By its documentation: a local checkpoint is exported with ``--task`` ("Export a model to ONNX"),
graph optimisations run during the export with ``--optimize`` (the same page), and an export is
quantized by ``onnxruntime quantize`` ("Quantization"), each from one folder to another. Whatever
the last command leaves in its folder ships. A folder with one ``.onnx`` file needs no file name.

Pipelines take a list, and batch it only when they are told to: "If you are using CPU, don't batch"
(transformers, "Pipelines"). The way ``pipeline-16`` batches all the same, texts as they come.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath
from tempfile import TemporaryDirectory

from benchmarks.peers.tool import Job, Setup, command, program, run

CLI = program("optimum-cli")
EXPORT = (CLI, "export", "onnx", "--task", "text-classification", "--model")
QUANTIZE = (CLI, "onnxruntime", "quantize", "--onnx_model")


def export(job: Job, *options: str) -> None:
    command(*EXPORT, job.checkpoint, *options, job.out)


def fp32(job: Job) -> None:
    export(job)


def o2(job: Job) -> None:
    export(job, "--optimize", "O2")


def o3(job: Job) -> None:
    export(job, "--optimize", "O3")


def export_and_quantize(job: Job, *options: str, optimize: Sequence[str] = ()) -> None:
    with TemporaryDirectory() as onnx:  # harness
        command(*EXPORT, job.checkpoint, *optimize, onnx)
        command(*QUANTIZE, onnx, *options, "-o", job.out)


def avx512_vnni(job: Job) -> None:
    export_and_quantize(job, "--avx512_vnni")


def avx512_vnni_per_channel(job: Job) -> None:
    export_and_quantize(job, "--avx512_vnni", "--per_channel")


def o3_avx512_vnni(job: Job) -> None:
    export_and_quantize(job, "--avx512_vnni", optimize=("--optimize", "O3"))


def misspelt(job: Job) -> None:
    export_and_quantize(job, "--avx512_vnni", "--per_chanel")


def quantize_only(job: Job) -> None:
    """The checkpoint is a folder with ONNX files."""
    command(*QUANTIZE, job.checkpoint, "--avx512_vnni", "-o", job.out)


class Pipeline:
    """Texts one by one at their own lengths, or in batches as they come, padded to their longest.

    One by one is the default, and what is advised for a CPU.
    """

    def __init__(self, setup: Setup, batch_size: int = 1) -> None:
        from onnxruntime import SessionOptions
        from optimum.onnxruntime import ORTModelForSequenceClassification
        from transformers import AutoTokenizer, pipeline

        options = SessionOptions()
        options.intra_op_num_threads = setup.threads
        file = PurePosixPath(setup.file)  # harness
        model = ORTModelForSequenceClassification.from_pretrained(
            setup.made,
            subfolder=str(file.parent) if setup.file else "",
            file_name=file.name or None,
            session_options=options,
        )
        self.pipeline = pipeline(
            "text-classification",
            model=model,
            tokenizer=AutoTokenizer.from_pretrained(setup.made),
            truncation=True,
            max_length=setup.max_length,
            batch_size=batch_size,
        )

    def one(self, text: str) -> list[dict[str, str]]:
        return self.pipeline(text)

    def many(self, texts: Sequence[str]) -> list[dict[str, str]]:
        return self.pipeline(texts)

    def label(self, answer: dict[str, str]) -> str:
        return answer["label"]


MAKERS = {
    "fp32": fp32,
    "O2": o2,
    "O3": o3,
    "avx512_vnni": avx512_vnni,
    "avx512_vnni-per-channel": avx512_vnni_per_channel,
    "O3-avx512_vnni": o3_avx512_vnni,
    "misspelt": misspelt,
    "quantize-only": quantize_only,
}
LOADERS = {"pipeline": Pipeline, "pipeline-16": partial(Pipeline, batch_size=16)}

if __name__ == "__main__":
    raise SystemExit(run(MAKERS, LOADERS))
