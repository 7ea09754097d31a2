"""A tiny bundle made of numpy and tokenizers alone: its ONNX file is written byte by byte.

The model means (word + type) embeddings over the tokens that the mask keeps, and multiplies by a
matrix, so numpy alone can say what it must answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = (
    "[PAD]",
    "[CLS]",
    "[SEP]",
    "[UNK]",
    "good",
    "bad",
    "film",
    "the",
    "a",
    "very",
    "plot",
    "ok",
)
PAD, CLS, SEP, UNK = range(4)
WIDTH = 8


# ---- protobuf: https://protobuf.dev/programming-guides/encoding/, fields of onnx.proto3 ----------


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(tag: int, value: int) -> bytes:
    return _varint(tag << 3) + _varint(value)


def blob(tag: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(tag << 3 | 2) + _varint(len(data)) + data


def node(op: str, inputs: str, output: str, **ints: int) -> bytes:
    attributes = b"".join(
        blob(5, blob(1, key) + number(3, value) + number(20, 2)) for key, value in ints.items()
    )
    return (
        b"".join(blob(1, name) for name in inputs.split())
        + blob(2, output)
        + blob(4, op)
        + attributes
    )


def tensor(name: str, array: np.ndarray[Any, Any]) -> bytes:
    dims = b"".join(number(1, size) for size in array.shape)
    kind = {"float32": 1, "int64": 7}[array.dtype.name]
    return dims + number(2, kind) + blob(8, name) + blob(9, array.tobytes())


def value(name: str, kind: int, *dims: str | int) -> bytes:
    shape = b"".join(
        blob(1, number(1, dim) if isinstance(dim, int) else blob(2, dim)) for dim in dims
    )
    return blob(1, name) + blob(2, blob(1, number(1, kind) + blob(2, shape)))


def model(
    nodes: Sequence[bytes], tensors: Sequence[bytes], inputs: Sequence[bytes], output: bytes
) -> bytes:
    parts = [(1, nodes), (5, tensors), (11, inputs), (12, [output])]
    graph = b"".join(blob(tag, item) for tag, items in parts for item in items) + blob(2, "tiny")
    return number(1, 9) + blob(7, graph) + blob(8, blob(1, "") + number(2, 18))


# ---- the model ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tiny:
    """Weights, the ONNX file they make, and what that must answer."""

    labels: tuple[str, ...] = ("negative", "positive", "neutral")
    mates: bool = False
    """Add the longest length of the batch to every logit: an answer depends on its batch mates."""
    masked: bool = True
    """False: without the input attention_mask."""
    seed: int = 0
    words: np.ndarray[Any, Any] = field(init=False)
    types: np.ndarray[Any, Any] = field(init=False)
    head: np.ndarray[Any, Any] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        for name, shape in (
            ("words", (len(WORDS), WIDTH)),
            ("types", (2, WIDTH)),
            ("head", (WIDTH, len(self.labels))),
        ):
            object.__setattr__(self, name, rng.normal(size=shape).astype(np.float32))

    @property
    def inputs(self) -> tuple[str, ...]:
        mask = ("attention_mask",) if self.masked else ()
        return ("input_ids", *mask, "token_type_ids")

    def onnx(self) -> bytes:
        """The bytes of the model; ``head`` is halved and doubled, for an optimizer to find."""
        mask = "attention_mask" if self.masked else "all_ones"
        nodes = [
            node("Gather", "words input_ids", "word"),
            node("Gather", "types token_type_ids", "type"),
            node("Add", "word type", "hidden"),
            node("Cast", mask, "mask", to=1),
            node("Unsqueeze", "mask last", "mask3"),
            node("Mul", "hidden mask3", "kept"),
            node("ReduceSum", "kept middle", "sum", keepdims=0),
            node("ReduceSum", "mask middle", "count", keepdims=1),
            node("Div", "sum count", "mean"),
            node("Mul", "half_head two", "head"),
            node("MatMul", "mean head", "clean"),
        ]
        if not self.masked:
            nodes.insert(0, node("Shape", "input_ids", "shape"))
            nodes.insert(1, node("Expand", "one shape", "all_ones"))
        nodes += [
            node("ReduceMax", "count", "longest", keepdims=0),
            node("Mul", "longest mates", "shift"),
            node("Add", "clean shift", "logits"),
        ]
        tensors = [
            tensor("words", self.words),
            tensor("types", self.types),
            tensor("half_head", self.head / 2),
            tensor("two", np.array(2, np.float32)),
            tensor("mates", np.array(float(self.mates), np.float32)),
            tensor("last", np.array([2])),
            tensor("middle", np.array([1])),
            tensor("one", np.array([1])),
        ]
        inputs = [value(name, 7, "batch", "sequence") for name in self.inputs]
        return model(nodes, tensors, inputs, value("logits", 1, "batch", len(self.labels)))

    def logits(self, text: str, max_length: int = 16) -> np.ndarray[Any, Any]:
        """Float32 [labels]: the answer for one text alone, by numpy."""
        ids = token_ids(text, max_length)
        types = [0, *[1] * (len(ids) - 2), 0]
        mean = (self.words[ids] + self.types[types]).mean(axis=0)
        return mean @ self.head + float(self.mates) * len(ids)


def token_ids(text: str, max_length: int = 16) -> list[int]:
    """What the tokenizer must give, by hand: words between [CLS] and [SEP], cut at the end."""
    known = [WORDS.index(word) if word in WORDS else UNK for word in text.split()]
    return [CLS, *known[: max_length - 2], SEP]


def tokenizer() -> Tokenizer:
    vocabulary = {word: n for n, word in enumerate(WORDS)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token=WORDS[UNK]))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:1 [SEP]:0", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    made.enable_padding(length=40)  # what a file on disk says must not matter
    made.enable_truncation(5, stride=1)
    return made


def variant(name: str, file: str, tiny: Tiny, **changes: Any) -> dict[str, Any]:
    graph = {"file": file, "inputs": list(tiny.inputs), "outputs": ["logits"]}
    return {"name": name, "precision": "fp32", "graphs": {"model": graph}, **changes}


def write_bundle(
    folder: Path, tiny: Tiny, variants: Sequence[Mapping[str, Any]] | None = None, **changes: Any
) -> Path:
    """A bundle of ``tiny``; ``changes`` replace fields of its manifest."""
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    (folder / "onnx" / "model.onnx").write_bytes(tiny.onnx())
    tokenizer().save(str(folder / "tokenizer.json"))
    manifest = {
        "schema": 1,
        "name": "tiny",
        "task": "text-classification",
        "labels": list(tiny.labels),
        "max_length": 16,
        "pad_token_id": PAD,
        "tokenizer": "tokenizer.json",
        "variants": list(variants or [variant("fp32", "onnx/model.onnx", tiny)]),
        "files": records(folder),
    }
    (folder / "edgepipe.json").write_text(json.dumps({**manifest, **changes}))
    return folder


def records(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "edgepipe.json"
    }
