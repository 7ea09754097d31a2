"""Text to token ids by the Rust tokenizer itself, without transformers."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer, normalizers, pre_tokenizers

from edgepipe.errors import BundleError, UsageError

_AMPLE = 8
"""Characters for each token wanted, at first: English has about 5, a space among them."""
_AT_SPACES = (
    pre_tokenizers.BertPreTokenizer,
    pre_tokenizers.Whitespace,
    pre_tokenizers.WhitespaceSplit,
)
_LOCAL = (type(None), normalizers.BertNormalizer)
_WORD_END = re.compile(r"\S(?= )")


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
        self._max_length = max_length
        self._ample = _AMPLE * max_length if _splits_at_spaces(self._tokenizer) else sys.maxsize

    def encode(self, text: object, index: int = 0) -> Row:
        """Ids and type ids of one text; UsageError with ``index`` when it is no usable text."""
        if not isinstance(text, str):
            raise no_text(text, index)
        try:
            encoding = (
                self._tokenizer.encode(text)
                if len(text) <= self._ample
                else self._encode_long(text)
            )
        except (TypeError, UnicodeEncodeError) as error:  # a str, and not to be had in UTF-8
            raise UsageError(
                f"text {index} holds a lone surrogate, which is no character: decode it again with "
                "errors='replace'"
            ) from error
        except Exception as error:  # tokenizers raises plain Exception
            raise BundleError(
                f"text {index} is more than this tokenizer can do: {error}; make the bundle anew"
            ) from error
        ids = encoding.ids
        if not ids:
            raise UsageError(f"text {index} has no tokens, and this tokenizer adds no special ones")
        return Row(ids, encoding.type_ids)

    def _encode_long(self, text: str) -> Encoding:
        """What the whole text gives, from a beginning of it that holds enough tokens.

        The tokenizer would split all of a text before it cuts it: 0.6 s a megabyte.
        """
        enough = self._ample
        while (end := _word_end(text, enough)) < len(text):
            encoding = self._tokenizer.encode(text[:end])
            if len(encoding.ids) == self._max_length:
                text.encode()  # a lone surrogate further on is an error nonetheless
                return encoding
            enough = 2 * end
        return self._tokenizer.encode(text)


def no_text(text: object, index: int) -> UsageError:
    """The error that says what the text with this index is instead."""
    return UsageError(f"text {index} is of type {type(text).__name__}, not str")


def _word_end(text: str, start: int) -> int:
    """Where the first space behind a word is, from about ``start`` on; else the text's end."""
    found = _WORD_END.search(text, start)
    return found.end() if found else len(text)


def _splits_at_spaces(tokenizer: Tokenizer) -> bool:
    """Whether the tokens of a text up to a space behind a word are a beginning of all its tokens.

    So it is when the tokenizer cuts there first (BERT's pieces and GPT-2's end with a word, see
    ``pre_tokenizers/bert.rs`` and ``byte_level.rs``), works on each piece alone, and looks at no
    more than a character and its accents before that.
    """
    if any(not _plain(token.content) for token in tokenizer.get_added_tokens_decoder().values()):
        return False
    splitter, normalizer = tokenizer.pre_tokenizer, tokenizer.normalizer
    if isinstance(splitter, pre_tokenizers.ByteLevel):
        return normalizer is None and splitter.use_regex
    return isinstance(splitter, _AT_SPACES) and isinstance(normalizer, _LOCAL)


def _plain(token: str) -> bool:
    """Whether an added token, which is found before everything else, cannot reach over a space."""
    return token.isascii() and not any(map(str.isspace, token))
