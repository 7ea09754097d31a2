"""Tiny random classifiers of every family, whose weights are large enough to show a wrong mask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from edgepipe.artifacts import Checkpoint, Provenance
from tests.graph.toy_graphs import LABELS, write_tokenizer

MAX_LENGTH = 24
_SMALL: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "initializer_range": 0.3,
    "num_labels": len(LABELS),
}
_SHIFTED = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertConfig", {}),
    "distilbert": (
        "DistilBertConfig",
        {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "seq_classif_dropout": 0.0},
    ),
    "roberta": ("RobertaConfig", {**_SHIFTED, "type_vocab_size": 1}),
    "xlm-roberta": ("XLMRobertaConfig", {**_SHIFTED, "type_vocab_size": 1}),
    "electra": ("ElectraConfig", {"embedding_size": 16}),
    "albert": ("AlbertConfig", {"embedding_size": 16, "classifier_dropout_prob": 0.0}),
    "mpnet": ("MPNetConfig", _SHIFTED),
    "deberta-v2": (
        "DebertaV2Config",
        {
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
    ),
    "modernbert": (
        "ModernBertConfig",
        {
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "cls_token_id": 1,
            "sep_token_id": 2,
            "global_attn_every_n_layers": 2,
            "local_attention": 8,
            "initializer_cutoff_factor": 2.0,
        },
    ),
}
"""Family to configuration class and what it needs beside the small sizes."""


def build(family: str, seed: int = 0, **changes: Any) -> PreTrainedModel:
    name, own = FAMILIES[family]
    torch.manual_seed(seed)
    config = getattr(transformers, name)(**{**_SMALL, **own, **changes})
    return AutoModelForSequenceClassification.from_config(
        config, attn_implementation="eager"
    ).eval()


def token_rows(count: int = 5, seed: int = 0) -> list[np.ndarray[Any, Any]]:
    """Random token ids without special ones, of different lengths."""
    random = np.random.default_rng(seed)
    return [random.integers(5, 60, length) for length in random.integers(6, 20, count)]


def checkpoint(folder: Path, family: str = "bert", **changes: Any) -> Checkpoint:
    """A committed checkpoint with a tokenizer of a few words."""
    model = build(family, **changes)
    model.config.id2label = dict(enumerate(LABELS))
    model.config.label2id = {name: index for index, name in enumerate(LABELS)}
    model.save_pretrained(folder)
    write_tokenizer(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": MAX_LENGTH}))
    return Checkpoint(
        path=folder, task="text-classification", labels=LABELS, max_length=MAX_LENGTH,
        model_type=model.config.model_type, parameters=model.num_parameters(),
        provenance=Provenance(source="random"),
    ).commit()  # fmt: skip
