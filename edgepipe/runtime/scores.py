"""Logits to labels and scores, as a transformers text-classification pipeline gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from edgepipe.runtime.manifest import ProblemType

Floats = NDArray[np.float32]
Activation = Literal["softmax", "sigmoid", "none"]


class Prediction(TypedDict):
    """One label and its score: a probability, or for a regression the value itself."""

    label: str
    score: float


def activation(problem_type: ProblemType, labels: int) -> Activation:
    """What turns logits into scores.

    As transformers 5.23 decides it (``pipelines/text_classification.py``, ``postprocess``).
    """
    if problem_type == "regression":
        return "none"
    if problem_type == "multi_label_classification" or labels == 1:
        return "sigmoid"
    return "softmax"


def scores(logits: Floats, function: Activation) -> Floats:
    """Float32 [n, labels]."""
    if function == "none":
        return logits
    if function == "sigmoid":
        with np.errstate(over="ignore"):  # exp(-logit) may be infinite: the probability is 0 then
            single: Floats = np.reciprocal(1 + np.exp(-logits), dtype=np.float32)
        return single
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Floats = exponents / exponents.sum(axis=-1, keepdims=True)
    return shares


def best(logits: Floats, labels: Sequence[str], function: Activation) -> list[Prediction]:
    """The label with the highest score of every row."""
    found = scores(logits, function)
    return [
        {"label": labels[index], "score": row[index]}
        for index, row in zip(found.argmax(axis=-1).tolist(), found.tolist(), strict=True)
    ]


def ranked(
    logits: Floats, labels: Sequence[str], function: Activation, top_k: int | None
) -> list[list[Prediction]]:
    """The ``top_k`` labels with the highest scores of every row (all for None), best first."""
    return [
        [
            {"label": labels[index], "score": row[index]}
            for index in sorted(range(len(row)), key=row.__getitem__, reverse=True)[:top_k]
        ]
        for row in scores(logits, function).tolist()
    ]
