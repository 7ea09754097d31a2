"""A model from scratch: a config table, and a tokenizer trained on the training split."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoConfig, PreTrainedConfig, PreTrainedTokenizerFast

from edgepipe.errors import StageError
from edgepipe.training.load import label
from edgepipe.training.settings import ModelTable, TokenizerTable
from edgepipe.training.wordpiece import SPECIAL as _WORDPIECE
from edgepipe.training.wordpiece import wordpiece

_BPE = {
    "cls_token": "<s>",
    "pad_token": "<pad>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}
Texts = Callable[[], Iterable[str]]
_OURS = frozenset({"vocab_size", "num_labels", "id2label", "label2id"})


def train_tokenizer(texts: Texts, table: TokenizerTable) -> PreTrainedTokenizerFast:
    """A tokenizer of at most ``table.vocab_size`` tokens learned from ``texts()``, which stream.

    WordPiece as BERT's (Schuster and Nakajima 2012), or byte-level BPE as GPT-2's and RoBERTa's
    (Radford et al. 2019). Equal texts give equal tokenizers.
    """
    special = _WORDPIECE if table.kind == "wordpiece" else _BPE
    tokenizer = wordpiece(texts, table) if table.kind == "wordpiece" else _byte_level(texts, table)
    first, last = special["cls_token"], special["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, **special
    )


def fresh_config(
    table: ModelTable, tokenizer: PreTrainedTokenizerFast, labels: Sequence[str]
) -> PreTrainedConfig:
    """The architecture that ``table`` describes, its vocabulary and special ids the tokenizer's.

    Raises StageError for an unknown ``model_type``, and for a setting that the architecture does
    not have (transformers would take it and do nothing).
    """
    settings: Mapping[str, Any] = table.model_extra or {}
    try:
        known = AutoConfig.for_model(table.model_type)
    except ValueError as error:
        raise StageError(f"model_type: transformers has no {table.model_type!r}") from error
    for name in settings:
        if name in _OURS or not hasattr(known, name):
            raise StageError(_refusal(name, known))
    given = {**_special_ids(known, tokenizer), **settings, "vocab_size": len(tokenizer)}
    try:
        config = AutoConfig.for_model(table.model_type, **given)
    except (ValueError, TypeError) as error:
        raise StageError(f"the {table.model_type} model cannot be so: {error}") from error
    return label(config, labels)


def _refusal(name: str, known: PreTrainedConfig) -> str:
    if name in _OURS:
        return f"model.{name}: comes from the tokenizer and the data; leave it out"
    near = difflib.get_close_matches(name, known.to_dict(), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"model.{name}: {known.model_type} has no such setting{hint}"


def _special_ids(known: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    ids = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "cls_token_id": tokenizer.cls_token_id,
        "sep_token_id": tokenizer.sep_token_id,
    }
    return {name: value for name, value in ids.items() if hasattr(known, name)}


def _byte_level(texts: Texts, table: TokenizerTable) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    steps = [normalizers.NFC(), *([normalizers.Lowercase()] if table.lowercase else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=table.vocab_size,
        special_tokens=list(_BPE.values()),
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(texts(), trainer)
    return tokenizer
