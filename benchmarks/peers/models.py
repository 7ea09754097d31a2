"""The checkpoints that every tool starts from: a fine-tuned one, and two with random weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgepipe import api

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_TEACHER = Path(__file__).parent / "pipelines" / "teacher.toml"
_STEP = "teacher"
_POSITIONS = 512


@dataclass(frozen=True, kw_only=True)
class _Shape:
    layers: int
    hidden: int
    heads: int
    intermediate: int


_SHAPES = {
    "bert-base": _Shape(layers=12, hidden=768, heads=12, intermediate=3072),
    "small": _Shape(layers=4, hidden=312, heads=12, intermediate=1200),
}


def teacher(work: Path) -> Path:
    """The folder of the movie-reviews teacher, to be read only.

    ``work`` is an artifacts folder of edgepipe: what a run of ``pipelines/movie-reviews.toml``
    trained there is taken as it is, else it is trained now.
    """
    finished = api.run(_TEACHER, root=work)
    return next(done.artifact.path for done in finished.steps if done.step.name == _STEP)


def random_model(
    shape: Literal["bert-base", "small"],
    source: Path,
    out: Path,
    *,
    seed: int,
    max_length: int = _POSITIONS,
) -> None:
    """``out`` holds a BERT classifier of ``LABEL_0`` and ``LABEL_1`` that learnt nothing.

    Weights are as BERT's begin: normal with a deviation of 0.02, the same for the same arguments.
    The tokenizer, and with it the size of the vocabulary, is that of the folder ``source``; where
    it holds none, one is made from its ``train.jsonl``. Its configuration says to cut texts to
    ``max_length`` tokens.
    """
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from edgepipe.training.save import save_checkpoint

    size = _SHAPES[shape]
    tokenizer = _tokenizer(source)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=size.intermediate,
        max_position_embeddings=_POSITIONS,
        pad_token_id=tokenizer.pad_token_id,
        problem_type="single_label_classification",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertForSequenceClassification(config)
    out.mkdir(parents=True, exist_ok=True)
    save_checkpoint(model, tokenizer, out, max_length)


def _tokenizer(source: Path) -> PreTrainedTokenizerFast:
    from edgepipe.training.fresh import train_tokenizer
    from edgepipe.training.load import load_tokenizer
    from edgepipe.training.settings import TokenizerTable

    if (source / "tokenizer.json").exists():
        return load_tokenizer(source)
    return train_tokenizer(lambda: _texts(source / "train.jsonl"), TokenizerTable())


def _texts(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]
