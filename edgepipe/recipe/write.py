"""The whole recipe as a pipeline file: every setting that one may want to turn is in it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgepipe.config.load import RESERVED
from edgepipe.recipe.data import DataGuess
from edgepipe.recipe.model import ModelGuess

_HEAD = """# Written by edgepipe init. Change what you like: `edgepipe plan FILE` says what reruns.
name = {name}
task = "text-classification"

[run]
seed = 0
device = "cpu"
threads = 1

[step.data]
use = "data"
{files}
text_column = {text}
label_column = {label}
{labels}bad_rows = "skip"                 # rows without text or label are counted, not used
"""
_CLASSIFIER = """
[step.teacher]
use = "checkpoint"                # fine-tuned already: taken as it is
model = {model}
"""
_BASE = """
[step.teacher]
use = "train"
model = {model}
epochs = 3
learning_rate = 5e-5
batch_size = 32
patience = 1                      # stop after one epoch without gain on the validation split
from = {{ data = "data" }}
"""
_STUDENT = """
[step.student]
use = "distill"
layers = {layers}                        # half the teacher's
epochs = 3
learning_rate = 1e-4
batch_size = 32
temperature = 2.0
from = {{ teacher = "teacher", data = "data" }}

[step.exported]
use = "export"
attention = "eager"               # fastest on CPUs; "sdpa" is the other candidate
from = {{ checkpoint = "student", data = "data" }}

[step.fp32]
use = "optimize"                  # graph candidates, timed on this machine
from = {{ models = ["exported"], data = "data" }}
"""
_ONNX = """
[step.fp32]
use = "onnx"
model = {model}
max_length = {limit}                  # tokens; longer texts are cut
labels = {labels}                 # in the order of its outputs
"""
_TAIL = """
[step.int8]
use = "quantize"
per_channel = true
embeddings = "auto"               # quantized unless that changes answers
from = {{ model = "fp32", data = "data" }}

[step.counts]
use = "count"                     # operators, operations and bytes: the same in every run
from = {{ models = ["fp32", "int8"] }}

[step.accuracy]
use = "validate"
from = {{ reference = {reference}, candidates = [{candidates}], data = "data" }}

[step.speed]
use = "benchmark"
from = {{ reference = {reference}, candidates = [{candidates}], data = "data" }}

[step.bundle]
use = "package"
from = {{ variants = [{variants}], validation = "accuracy" }}

# What the result has to keep, judged after the report is written: exit 4 when a gate fails, 5 when
# the measurement cannot tell.
[[gate]]
measure = "accuracy"
of = "int8"
against = {reference}
max_drop = 0.02                   # 2 points, with 95 % confidence
confidence = 0.95

[[gate]]
measure = "latency"
of = "int8"
against = {reference}
min_speedup = {speedup}
confidence = 0.95

[[gate]]
measure = "operators"             # counts, which have no noise
of = "int8"
provider = "CPUExecutionProvider" # where every node runs; expected = {{ Gelu = 6 }} pins a fusion
{agreement}"""
_AGREEMENT = """
[[gate]]
measure = "agreement"             # texts that both answer alike, whichever of the two is right
of = "int8"
against = "fp32"
min_agreement = 0.9
confidence = 0.95
"""


def render(
    *, model: str, data: Mapping[str, Path], found: DataGuess, guess: ModelGuess, file: Path
) -> str:
    """The text of a pipeline file at ``file``; data paths are relative to its folder.

    ``data`` holds a file for each split that has one of its own.
    """
    onnx = guess.kind == "onnx"
    reference = '"fp32"' if onnx else '"teacher"'
    head = _HEAD.format(
        name=_toml(_name(file)),
        files="\n".join(f"{split} = {_relative(path, file)}" for split, path in data.items()),
        text=_toml(found.text),
        label=_toml(found.label),
        labels=f"labels = {_toml(guess.labels)}\n" if guess.labels else "",
    )
    middle = {"onnx": _ONNX, "classifier": _CLASSIFIER, "base": _BASE}[guess.kind]
    middle = middle.format(
        model=_toml(_model(model, file)), limit=guess.limit, labels=_toml(guess.labels)
    )
    student = "" if onnx else _STUDENT.format(layers=max(1, guess.layers // 2))
    tail = _TAIL.format(
        reference=reference,
        candidates='"int8"' if onnx else '"fp32", "int8"',
        variants='"int8", "fp32"',
        speedup="1.2" if onnx else "2.0",
        agreement=_AGREEMENT if onnx else "",
    )
    return head + middle + student + tail


def _toml(value: str | Sequence[str]) -> str:
    """A string or an array of strings; JSON's are TOML's but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _name(file: Path) -> str:
    """A pipeline's name; nothing that edgepipe itself uses under the artifacts folder."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in file.stem)
    name = kept.strip("._-") or "pipeline"
    return f"{name}-run" if name in RESERVED else name


def _relative(path: Path, file: Path) -> str:
    return _toml(_from(file, path))


def _model(model: str, file: Path) -> str:
    """As given, but for a path: that becomes relative to the pipeline file."""
    if model.startswith(("pkg://", "hf://")):
        return model
    return _from(file, Path(model).expanduser())


def _from(file: Path, path: Path) -> str:
    return Path(os.path.relpath(path.resolve(), file.resolve().parent)).as_posix()
