"""A bundle's own proof: the answers in ``golden.jsonl``, given again on this machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepipe.errors import BundleError
from edgepipe.runtime.classifier import TextClassifier
from edgepipe.runtime.records import MismatchError, decode

GOLDEN = "golden.jsonl"
_AGAIN = "make or copy the bundle again"


@dataclass(frozen=True)
class Golden:
    """One line: a text, its token ids, and what the original model answers to it alone."""

    text: str
    ids: tuple[int, ...]
    logits: tuple[float, ...]


def replay(classifier: TextClassifier, folder: Path) -> float:
    """The largest absolute difference from the logits in ``folder``'s ``golden.jsonl``.

    Every text runs alone, at its exact length. Raises BundleError when the file is missing, empty
    or damaged, when token ids differ, or when the difference exceeds the variant's tolerance.
    """
    path = folder / GOLDEN
    tolerance = classifier.variant.tolerance
    if tolerance is None:
        raise BundleError(f"{folder}: the variant {classifier.variant.name!r} has no tolerance")
    lines = enumerate(_read(path, len(classifier.labels)), start=1)
    differences = [_difference(classifier, line, f"{path}:{number}") for number, line in lines]
    off = float(np.max(differences))  # unlike max, it passes on what is not a number
    if not off <= tolerance:  # so that NaN fails
        raise BundleError(
            f"{path}: the variant {classifier.variant.name!r} is off by {off:.3g} here, and its "
            f"tolerance is {tolerance:g}: its answers cannot be relied on"
        )
    return off


def _difference(classifier: TextClassifier, line: Golden, place: str) -> float:
    row = classifier.encode(line.text)
    if row.ids != list(line.ids):
        raise BundleError(f"{place}: the tokenizer gives other token ids here; {_AGAIN}")
    expected = np.asarray(line.logits, np.float32)
    return float(np.abs(classifier.infer([row])[0] - expected).max())


def _read(path: Path, labels: int) -> list[Golden]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        found = [decode(Golden, json.loads(line)) for line in lines if line]
    except FileNotFoundError as error:
        raise BundleError(f"{path.parent} has no {path.name} to check itself against") from error
    except (OSError, ValueError, MismatchError) as error:
        raise BundleError(f"{path} is damaged: {error}; {_AGAIN}") from error
    if not found or any(len(line.logits) != labels for line in found):
        raise BundleError(f"{path} is damaged: no lines, or not {labels} logits each; {_AGAIN}")
    return found
