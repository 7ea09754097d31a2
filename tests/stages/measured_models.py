"""A tiny checkpoint, tiny ONNX models and a dataset, for the stages that measure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from edgepipe.artifacts import Checkpoint, Dataset, GraphRecord, OnnxModel, Provenance, SplitRecord
from tests.runtime.tiny_onnx import WORDS, Tiny, tokenizer, write_bundle

LABELS = ("negative", "positive", "neutral")
MAX_LENGTH = 16
_SOURCE = Provenance(source="test")


def checkpoint(folder: Path, seed: int = 0, labels: tuple[str, ...] = LABELS) -> Checkpoint:
    """Two layers of random weights, large enough to give different answers to different texts."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=MAX_LENGTH, num_labels=len(labels),
        initializer_range=1.0,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    plain = tokenizer()
    plain.no_padding()
    plain.no_truncation()
    special = {"pad_token": "[PAD]"}
    PreTrainedTokenizerFast(tokenizer_object=plain, **special).save_pretrained(folder)
    return Checkpoint(
        path=folder, task="text-classification", labels=labels, max_length=MAX_LENGTH,
        model_type="bert", parameters=1, provenance=_SOURCE,
    ).commit()  # fmt: skip


def onnx_model(folder: Path, tiny: Tiny, **changes: object) -> OnnxModel:
    """``tiny`` as an OnnxModel that the runtime loads."""
    write_bundle(folder, tiny)
    graph = GraphRecord(file="onnx/model.onnx", inputs=tiny.inputs, outputs=("logits",))
    model = OnnxModel(
        path=folder, task="text-classification", labels=tiny.labels, max_length=MAX_LENGTH,
        graphs={"model": graph}, provenance=_SOURCE,
    )  # fmt: skip
    return model.model_copy(update=changes).commit()


def texts(count: int, seed: int = 0) -> list[str]:
    """Between one word and twenty, some of which are cut at ``MAX_LENGTH``."""
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS[4:], random.integers(1, 20))) for _ in range(count)]


def dataset(
    folder: Path, count: int = 40, splits: tuple[str, ...] = ("validation", "test")
) -> Dataset:
    """Random texts with random labels."""
    folder.mkdir()
    truth = np.random.default_rng(1).integers(0, len(LABELS), count).tolist()
    for number, split in enumerate(splits):
        rows = zip(texts(count, seed=number), truth, strict=True)
        lines = (json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
        (folder / f"{split}.jsonl").write_text("".join(lines))
    record = SplitRecord(rows=count, label_counts=tuple(np.bincount(truth).tolist()))
    return Dataset(path=folder, labels=LABELS, splits=dict.fromkeys(splits, record)).commit()


def rows(data: Dataset, split: str) -> tuple[list[str], np.ndarray]:
    """Texts and labels of a split, read with nothing but json."""
    read = [json.loads(line) for line in (data.path / f"{split}.jsonl").read_text().splitlines()]
    return [row["text"] for row in read], np.array([row["label"] for row in read])
