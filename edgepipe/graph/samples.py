"""A few real texts of a dataset, for checks and for timing."""

from __future__ import annotations

import json
from itertools import islice

from edgepipe.artifacts import Dataset
from edgepipe.errors import DataError


def validation_texts(data: Dataset, count: int) -> list[str]:
    """The first ``count`` texts of the validation split, or all where it has fewer.

    Choices are made on this split; the test split is read once, by the final validation.
    """
    file = data.file("validation")
    with file.open(encoding="utf-8") as lines:
        try:
            found = [str(json.loads(line)["text"]) for line in islice(lines, count)]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file} is damaged: {error}") from error
    if not found:
        raise DataError(f"{file} holds no text, and a check needs some")
    return found
