"""Text to token ids by the Rust tokenizer itself, without transformers."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

from edgepipe.errors import BundleError, UsageError


class Row(NamedTuple):
    """One text as a model takes it: truncated, unpadded, special tokens included."""

    ids: list[int]
    types: list[int]
    """``token_type_ids``, as many as ``ids``."""


class TextTokenizer:
    """Encodes single texts: truncated at ``max_length`` tokens (special ones included), unpadded.

    Texts are encoded one by one on the calling thread: ``encode_batch`` would use a pool of one
    thread a core, whatever the caller asked for, and that pool does not survive a fork.
    Safe to share between threads.
    """

    def __init__(self, file: Path, max_length: int) -> None:
        """Read ``tokenizer.json``; BundleError when it is damaged, or no text would fit."""
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # tokenizers raises plain Exception
            raise BundleError(
                f"{file} is not a tokenizer: {error}; make the bundle anew"
            ) from error
        special = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        if max_length <= special:  # tokenizers would not truncate at all
            raise BundleError(
                f"{file}: max_length {max_length} is too short: {special} tokens are special ones"
            )
        self._tokenizer.enable_truncation(max_length)
        self._tokenizer.no_padding()

    def encode(self, text: object, index: int = 0) -> Row:
        """Ids and type ids of one text; UsageError with ``index`` when it is no usable text."""
        if not isinstance(text, str):
            raise UsageError(f"text {index} is of type {type(text).__name__}, not str")
        try:
            encoding = self._tokenizer.encode(text)
        except TypeError as error:  # a str, so it cannot be expressed in UTF-8
            raise UsageError(
                f"text {index} holds a lone surrogate, which is no character: decode it again with "
                "errors='replace'"
            ) from error
        ids = encoding.ids
        if not ids:
            raise UsageError(f"text {index} has no tokens, and this tokenizer adds no special ones")
        return Row(ids, encoding.type_ids)
