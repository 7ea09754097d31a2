"""Model folders as far as a recipe looks: a configuration and a tokenizer, no weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ("[PAD]", "[UNK]", "good", "bad", "film")


def tokenizer(folder: Path, words: tuple[str, ...] = WORDS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.enable_truncation(2)
    made.enable_padding(length=7)
    made.save(str(folder / "tokenizer.json"))


def model(folder: Path, architecture: str | None = "BertModel", **config: Any) -> Path:
    """A folder with config.json and tokenizer.json."""
    tokenizer(folder)
    found = {
        "model_type": "bert",
        "architectures": [architecture] if architecture else None,
        "num_hidden_layers": 6,
        "max_position_embeddings": 16,
    }
    (folder / "config.json").write_text(json.dumps({**found, **config}))
    return folder


def classifier(folder: Path, *labels: str) -> Path:
    names = {str(n): label for n, label in enumerate(labels)}
    return model(folder, "BertForSequenceClassification", id2label=names)


def onnx_file(path: Path) -> Path:
    """Nothing in it is read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path
