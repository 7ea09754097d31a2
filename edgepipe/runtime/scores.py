"""Logits to labels and scores, as a transformers text-classification pipeline gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Prediction(TypedDict):
    """One label and its probability."""

    label: str
    score: float


def probabilities(logits: Floats) -> Floats:
    """Float32 [n, labels]: softmax over several labels, the logistic function for a single one."""
    if logits.shape[-1] == 1:
        with np.errstate(over="ignore"):  # exp(-logit) may be infinite: the probability is 0 then
            single: Floats = np.reciprocal(1 + np.exp(-logits), dtype=np.float32)
        return single
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Floats = exponents / exponents.sum(axis=-1, keepdims=True)
    return shares


def best(logits: Floats, labels: Sequence[str]) -> list[Prediction]:
    """The most probable label of every row."""
    scores = probabilities(logits)
    return [
        {"label": labels[index], "score": row[index]}
        for index, row in zip(scores.argmax(axis=-1).tolist(), scores.tolist(), strict=True)
    ]


def ranked(logits: Floats, labels: Sequence[str], top_k: int | None) -> list[list[Prediction]]:
    """The ``top_k`` most probable labels of every row (all for None), best first."""
    return [
        [
            {"label": labels[index], "score": row[index]}
            for index in sorted(range(len(row)), key=row.__getitem__, reverse=True)[:top_k]
        ]
        for row in probabilities(logits).tolist()
    ]
