"""edgepipe: its command line makes bundles, its runtime answers.

A maker writes the pipeline file that a user would write, with its own paths, and runs it in an
empty folder, so that nothing is reused of an earlier run. What ships is the bundle with the one
variant that is wanted. Nothing is validated or timed on the way, as with the other tools; a user
would add ``validate`` and a gate.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from benchmarks.peers.tool import Job, Loaders, Makers, Setup, command, program, run

if TYPE_CHECKING:
    from edgepipe.runtime import Prediction

PIPELINES: dict[str, str | None] = {
    "fp32": "../pipelines/fp32.toml",
    "int8": "../pipelines/int8.toml",
    "student": "../pipelines/student.toml",
    "misspelt": "../pipelines/misspelt.toml",
    "quantize-only": "../pipelines/quantize-only.toml",
    "compress": None,
}
"""The files that makers run, from this folder; None where a command writes it. ``lines.py`` counts
what they hold."""
_VARIANTS = {
    "": "auto",
    "onnx/model.onnx": "fp32",
    "onnx/model_quantized.onnx": "int8",
}
"""A user names a variant rather than its file."""


def _pipeline(how: str, job: Job) -> None:
    """The file, then ``edgepipe run FILE``."""
    template = (Path(__file__).parent / str(PIPELINES[how])).read_text(encoding="utf-8")
    names: dict[str, object] = {
        "checkpoint": job.checkpoint.resolve(),
        "texts": job.texts.resolve(),
        "max_length": job.max_length,
    }
    if how == "student":
        names |= _known(job.checkpoint)
    with _nothing_made(job):
        Path(f"{how}.toml").write_text(Template(template).substitute(names), encoding="utf-8")
        command(program("edgepipe"), "run", f"{how}.toml")


def _compress(job: Job) -> None:
    """The shortest documented way: a student by general settings, measured and judged."""
    checkpoint, texts = job.checkpoint.resolve(), job.texts.resolve()
    with _nothing_made(job):
        command(program("edgepipe"), "compress", checkpoint, "--data", texts)


@contextlib.contextmanager
def _nothing_made(job: Job) -> Iterator[None]:
    """The working directory is an empty one; a bundle that it publishes is in ``job.out``."""
    out = job.out.resolve()
    with tempfile.TemporaryDirectory(dir=out.parent) as folder, contextlib.chdir(folder):
        try:
            yield
        finally:  # also when the command fails, to see what it leaves
            for bundle in Path("artifacts").glob("*/bundle"):
                shutil.copytree(bundle, out, dirs_exist_ok=True)


def _known(checkpoint: Path) -> dict[str, object]:
    """What a user knows of the teacher: its labels, which the data gives as numbers, its depth."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    names = config.get("id2label", {"0": "LABEL_0", "1": "LABEL_1"})  # as transformers has it
    labels = [names[str(number)] for number in range(len(names))]
    return {"labels": json.dumps(labels), "half": config["num_hidden_layers"] // 2}


class Runtime:
    """The bundle's own session options; lists are batched by length."""

    def __init__(self, setup: Setup) -> None:
        from edgepipe import runtime

        self.model = runtime.load(setup.made, variant=_VARIANTS[setup.file], threads=setup.threads)

    def one(self, text: str) -> list[Prediction]:
        """``[{"label": …, "score": …}]``."""
        return self.model(text)

    def many(self, texts: Sequence[str]) -> list[Prediction]:
        """One for each text."""
        return self.model(texts)

    def label(self, answer: Any) -> str:
        """Its name."""
        return str(answer["label"])


class Plain(Runtime):
    """The same with onnxruntime's default session options."""

    def __init__(self, setup: Setup) -> None:
        from edgepipe import runtime

        self.model = runtime.load(
            setup.made, variant=_VARIANTS[setup.file], threads=setup.threads, plain=True
        )


MAKERS: Makers = {
    "fp32": partial(_pipeline, "fp32"),
    "int8": partial(_pipeline, "int8"),
    "student": partial(_pipeline, "student"),
    "misspelt": partial(_pipeline, "misspelt"),
    "quantize-only": partial(_pipeline, "quantize-only"),
    "compress": _compress,
}
LOADERS: Loaders = {"runtime": Runtime, "plain": Plain}

if __name__ == "__main__":
    raise SystemExit(run(MAKERS, LOADERS))
