"""Models that others have fine-tuned."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edgepipe.errors import StageError
from edgepipe.training.classification import Trained
from edgepipe.training.data import checked_length
from edgepipe.training.load import (
    label,
    label_names,
    length_limit,
    load_config,
    load_model,
    load_tokenizer,
)

_LONGEST = 512
_FEWEST_LABELS = 2
_SINGLE_LABEL = (None, "single_label_classification")


def load_finetuned(folder: Path, max_length: int | Literal["auto"]) -> Trained:
    """The text classifier in ``folder``; ``auto`` allows what it can take, at most 512 tokens.

    Raises StageError for a folder that is not whole, a model without a head of its own, and one
    that gives a text several labels, or a number.
    """
    tokenizer = load_tokenizer(folder)
    config = load_config(folder)
    if config.problem_type not in _SINGLE_LABEL or (config.num_labels or 0) < _FEWEST_LABELS:
        raise StageError(
            f"{folder}: config.json says {config.problem_type or 'regression'} with "
            f"{config.num_labels} label(s); only one label of several for each text can be imported"
        )
    model = load_model(folder, config=label(config, label_names(config)))
    limit = length_limit(model, tokenizer)
    fitting = min(limit, _LONGEST) if max_length == "auto" else checked_length(max_length, limit)
    return Trained(model=model, tokenizer=tokenizer, max_length=fitting, notes={})
