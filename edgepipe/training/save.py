"""Models and tokenizers to a Hugging Face folder: four files, the same bytes every time."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from edgepipe import disk
from edgepipe.errors import DiskError, StageError
from edgepipe.training.quiet import quiet

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
_LOCAL = frozenset(
    {
        "is_local",
        "local_files_only",
        "max_length",
        "name_or_path",
        "pad_to_multiple_of",
        "special_tokens_map_file",
        "stride",
        "tokenizer_file",
        "truncation_strategy",
        "vocab_file",
    }
)
"""Keys that say how the tokenizer was loaded or called last, not what it is."""


def save_checkpoint(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, max_length: int
) -> None:
    """``folder`` holds the four files of a checkpoint and no others; transformers can load it.

    tokenizer.json neither cuts nor pads; ``model_max_length`` in tokenizer_config.json is
    ``max_length``, so that a caller who truncates gets what training saw. Raises DiskError, and
    StageError when the weights cannot be one file.
    """
    try:
        with quiet(), disk.translated("write the weights to", folder):
            model.save_pretrained(folder, max_shard_size="1TB")
        _save_tokenizer(tokenizer, folder, max_length)
    except SafetensorError as error:
        raise DiskError(f"could not write the weights to {folder}: {error}") from error
    _keep_known(folder)


def _save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path, max_length: int) -> None:
    tokenizer.model_max_length = max_length
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    with quiet(), disk.translated("write the tokenizer to", folder):
        tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    disk.write_json(file, {key: settings[key] for key in settings if key not in _LOCAL})


def _keep_known(folder: Path) -> None:
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise StageError(f"transformers did not write {missing[0]} to {folder}")
    mode = (folder / "config.json").stat().st_mode  # safetensors lets nobody else read its files
    (folder / "model.safetensors").chmod(mode)
    for file in disk.files_under(folder):
        if file.as_posix() not in FILES:
            (folder / file).unlink()
