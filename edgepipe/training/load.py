"""Hugging Face folders to models and tokenizers: offline, safetensors only, never foreign code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from edgepipe.errors import StageError
from edgepipe.training.quiet import quiet
from edgepipe.training.weights import check_weights

Attention = Literal["eager", "sdpa"]
_UNBOUNDED = 1 << 30
_VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)


def load_config(folder: Path) -> PreTrainedConfig:
    """The architecture in ``folder/config.json``.

    Raises StageError when there is no config, when it cannot be read, and when transformers does
    not know the architecture.
    """
    if not (folder / "config.json").is_file():
        raise StageError(f"{folder} holds no config.json, so it is no Hugging Face model folder")
    try:
        with quiet():
            config: PreTrainedConfig = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except (ValueError, OSError, KeyError, TypeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise StageError(f"{folder / 'config.json'} cannot be used: {reason}") from error
    return config


def label(config: PreTrainedConfig, labels: Sequence[str]) -> PreTrainedConfig:
    """``config`` classifies one text into one of ``labels``."""
    config.id2label = dict(enumerate(labels))
    config.label2id = {name: index for index, name in enumerate(labels)}
    config.problem_type = "single_label_classification"
    return config


def label_names(config: PreTrainedConfig) -> tuple[str, ...]:
    """The labels that ``config`` names, in the order of the model's outputs."""
    names = {int(index): name for index, name in (config.id2label or {}).items()}
    return tuple(names[index] for index in sorted(names))


def set_dropout(config: PreTrainedConfig, dropout: float) -> PreTrainedConfig:
    """Every dropout that ``config`` gives a number for is ``dropout``."""
    for name, value in config.to_dict().items():
        if "dropout" in name and isinstance(value, float | int) and not isinstance(value, bool):
            setattr(config, name, dropout)
    return config


def build_model(config: PreTrainedConfig, attention: Attention = "eager") -> PreTrainedModel:
    """A model of random float32 weights; they follow from torch's random state.

    An architecture without sdpa (MPNet, DeBERTa-v2) gets eager attention. Raises StageError when
    transformers has no text classifier of this architecture, or its settings contradict each other.
    """

    def build(implementation: Attention) -> PreTrainedModel:
        with quiet():
            model: PreTrainedModel = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
                config,
                attn_implementation=implementation,
                dtype=torch.float32,
                trust_remote_code=False,
            )
        return model

    try:
        return build(_supported(config, attention))
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise StageError(_cannot_build(config, error)) from error


def load_model(
    folder: Path,
    *,
    config: PreTrainedConfig | None = None,
    attention: Attention = "eager",
    fresh_head: bool = False,
) -> PreTrainedModel:
    """The classifier in ``folder`` in float32, in evaluation mode; ``config`` replaces its own.

    With ``fresh_head`` a head that is missing, or made for another number of labels, is drawn from
    torch's random state; the body must be complete. Without it everything must be in the file.
    An architecture without sdpa gets eager attention. Raises StageError.
    """
    config = load_config(folder) if config is None else config
    check_weights(folder)
    implementation = _supported(config, attention)
    try:
        with quiet():
            loaded: tuple[PreTrainedModel, dict[str, Any]] = (
                AutoModelForSequenceClassification.from_pretrained(
                    folder,
                    config=config,
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    dtype=torch.float32,
                    attn_implementation=implementation,
                    ignore_mismatched_sizes=True,
                    output_loading_info=True,
                )
            )
    except (ValueError, OSError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise StageError(_cannot_build(config, error)) from error
    model, found = loaded
    _check_complete(folder, model, found, fresh_head=fresh_head)
    return model


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The fast tokenizer of ``folder``, converted from a slow one's files where need be.

    It neither cuts nor pads, whatever its file says (sentence-transformers' files pad to 128).

    Raises StageError when the folder holds no tokenizer, or one without a fast form, or one that
    cannot pad. (transformers would make up an empty vocabulary for a folder without one.)
    """
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise StageError(
            f"{folder} holds no tokenizer: expected tokenizer.json (or one of "
            f"{', '.join(_VOCABULARIES[1:])}) beside config.json"
        )
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # tokenizers raises bare Exception for a damaged file
        raise StageError(f"the tokenizer in {folder} cannot be read: {error}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise StageError(
            f"{folder}: {type(tokenizer).__name__} has no fast form (tokenizer.json); the runtime "
            "needs one. Take a model whose tokenizer the tokenizers package supports"
        )
    if tokenizer.pad_token_id is None:
        raise StageError(
            f"{folder}: the tokenizer has no padding token; set pad_token in its files"
        )
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def length_limit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> int:
    """The most tokens a text may have, special ones included.

    Where the position table reserves rows up to its padding index (RoBERTa, XLM-R, MPNet), those
    rows are not positions: 514 rows are 512 tokens. Relative positions are bounded by the config.
    """
    limits = [getattr(model.config, "max_position_embeddings", None) or _UNBOUNDED]
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            reserved = 0 if module.padding_idx is None else module.padding_idx + 1
            limits.append(module.num_embeddings - reserved)
    limits.append(tokenizer.model_max_length)
    return int(min(limits))


def _supported(config: PreTrainedConfig, attention: Attention) -> Attention:
    """``attention``, or eager where the architecture has no sdpa."""
    if attention == "eager":
        return attention
    known = AutoModelForSequenceClassification._model_mapping  # noqa: SLF001  # no public lookup
    model_class = known.get(type(config), None)
    return "sdpa" if getattr(model_class, "_supports_sdpa", True) else "eager"


def _check_complete(
    folder: Path, model: PreTrainedModel, found: dict[str, Any], *, fresh_head: bool
) -> None:
    """Refuse weights that would silently be random."""
    absent = sorted({*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])})
    if fresh_head:
        absent = [name for name in absent if _is_body(model, name)]
    if absent:
        what = "the body's weights" if fresh_head else "weights (is it fine-tuned already?)"
        raise StageError(
            f"{folder} lacks {len(absent)} of {what}, or holds them in another size than its "
            f"config.json says; the first is {absent[0]}"
        )


def _is_body(model: PreTrainedModel, name: str) -> bool:
    """The pooler counts as head: masked language models come without one."""
    return name.startswith(f"{model.base_model_prefix}.") and ".pooler." not in name


def _cannot_build(config: PreTrainedConfig, error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return f"no text classifier can be made of the architecture {config.model_type!r}: {reason}"
