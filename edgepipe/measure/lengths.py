"""How many tokens a model's own tokenizer makes of a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from edgepipe.errors import StageError
from edgepipe.measure.records import Ints


def token_counter(tokenizer_file: Path) -> Callable[[Sequence[str]], Ints]:
    """A function from texts to their tokens, int64 [texts], special ones included, none cut off.

    Raises StageError for a damaged tokenizer.
    """
    try:
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
    except Exception as error:  # tokenizers raises bare Exception for a damaged file
        raise StageError(f"{tokenizer_file} is no readable tokenizer: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(texts: Sequence[str]) -> Ints:
        # One by one: a batch would start a pool of threads, which a later fork complains about.
        return np.array([len(tokenizer.encode(text).ids) for text in texts], np.int64)

    return count
