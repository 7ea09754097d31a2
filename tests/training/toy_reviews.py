"""Reviews whose label is one word, and a tiny base model with a tokenizer that knows the words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from edgepipe.artifacts import Dataset, SplitRecord
from edgepipe.training.classification import Corpus
from edgepipe.training.loop import Run

LABELS = ("bad", "good")
WORDS = ("film", "plot", "actor", "scene", "a", "the", "and", "was", "quite", "rather")
TELLING = (("awful", "dull"), ("lovely", "fresh"))
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
VOCABULARY = (*SPECIAL, *WORDS, *TELLING[0], *TELLING[1])


def rows(count: int, seed: int = 0) -> list[tuple[str, int]]:
    """Between two and a dozen words; the telling one stands anywhere."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        label = int(random.integers(2))
        words = list(random.choice(WORDS, random.integers(1, 12)))
        words.insert(int(random.integers(len(words) + 1)), random.choice(TELLING[label]))
        made.append((" ".join(words), label))
    return made


def write_split(file: Path, given: list[tuple[str, int]]) -> SplitRecord:
    lines = (json.dumps({"text": text, "label": label}) + "\n" for text, label in given)
    file.write_text("".join(lines))
    counts = np.bincount([label for _, label in given], minlength=2).tolist()
    return SplitRecord(rows=len(given), label_counts=tuple(counts))


def dataset(folder: Path, train: int = 96, validation: int = 40) -> Dataset:
    folder.mkdir(parents=True)
    return Dataset(
        path=folder,
        labels=LABELS,
        splits={
            "train": write_split(folder / "train.jsonl", rows(train, seed=1)),
            "validation": write_split(folder / "validation.jsonl", rows(validation, seed=2)),
        },
    ).commit()


def corpus(folder: Path, train: int = 96, validation: int = 40) -> Corpus:
    data = dataset(folder, train, validation)
    return Corpus(
        train=data.file("train"),
        validation=data.file("validation"),
        labels=LABELS,
        counts=data.splits["train"].label_counts,
    )


def tokenizer(**special: str) -> PreTrainedTokenizerFast:
    plain = Tokenizer(models.WordLevel({w: i for i, w in enumerate(VOCABULARY)}, "[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", **special}
    return PreTrainedTokenizerFast(tokenizer_object=plain, model_max_length=30, **names)


def config(**changes: Any) -> BertConfig:
    sizes = {
        "vocab_size": len(VOCABULARY),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 32,
        "initializer_range": 0.3,
    }
    return BertConfig(**{**sizes, **changes})


def base(folder: Path, **changes: Any) -> Path:
    """A body without a head, as embedding models are published."""
    torch.manual_seed(0)
    BertModel(config(**changes)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


class Interrupted(Exception):  # noqa: N818  # it stands for kill -9
    pass


def session(
    folder: Path, *, stop_at: int | None = None, every_s: float = 60.0, seed: int = 0
) -> Run:
    """A run that is killed when the progress says ``stop_at``."""

    def progress(done: int, total: int, message: str) -> None:
        if done == stop_at:
            raise Interrupted

    return Run(
        folder=folder,
        seed=seed,
        device=torch.device("cpu"),
        progress=progress,
        publish_every_s=every_s,
    )
